// A canvas that is sharp on any screen, and drawn again when its size or the theme changes.

/** `begin` clears it and returns the pen, and the size in CSS pixels. */
export function canvasOf(element, draw) {
  const pen = element.getContext("2d");
  new ResizeObserver(draw).observe(element);
  document.addEventListener("themechange", draw);
  return {
    begin() {
      const scale = globalThis.devicePixelRatio || 1;
      const {clientWidth: width, clientHeight: height} = element;
      element.width = Math.round(width * scale);
      element.height = Math.round(height * scale);
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      return {pen, width, height};
    },
  };
}

/** What a custom property of the style sheet is now. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
