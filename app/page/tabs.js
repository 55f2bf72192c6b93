// Tabs as the ARIA practices want them: one stop for the Tab key, arrows between them.

/** `onselect` is called with the tab that is chosen. */
export function makeTabs(list, onselect) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const select = (tab) => {
    for (const each of tabs) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
    }
    onselect(tab);
  };
  for (const [place, tab] of tabs.entries()) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", ({key}) => {
      const to = {ArrowRight: place + 1, ArrowLeft: place - 1 + tabs.length, Home: 0, End: tabs.length - 1}[key];
      if (to === undefined) return;
      const next = tabs[to % tabs.length];
      next.focus();
      select(next);
    });
  }
}
