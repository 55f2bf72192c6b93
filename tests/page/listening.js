// Put into a page before its own scripts: hears what goes to the loudspeaker, and sees which words light up.

globalThis.heard = {meters: [], levels: [], words: []};

const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode) {
    const meter = new AnalyserNode(to.context, {fftSize: 256});
    connect.call(this, meter);
    heard.meters.push(meter);
  }
  return connect.call(this, to, ...rest);
};

/** The root mean square of what sounds now. */
globalThis.level = () => {
  const samples = new Float32Array(256);
  let loudest = 0;
  for (const meter of heard.meters) {
    if (meter.context.state !== "running") continue;
    meter.getFloatTimeDomainData(samples);
    loudest = Math.max(loudest, Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length));
  }
  return loudest;
};

setInterval(() => heard.levels.push([performance.now(), level()]), 4);

let lit = null; // the element of the last of them
new MutationObserver((changes) => {
  for (const {target} of changes) {
    if (target.dataset?.state !== "now" || target === lit) continue;
    heard.words.push([target.textContent, performance.now()]);
    lit = target;
  }
}).observe(document, {subtree: true, attributes: true, attributeFilter: ["data-state"]});

/** Press a button, and the time in ms from then to the last sound. */
globalThis.silencedBy = async (id) => {
  const pressed = performance.now();
  document.getElementById(id).click();
  await new Promise((resolve) => setTimeout(resolve, 600));
  const loud = heard.levels.filter(([at, rms]) => at > pressed && rms > 0.002);
  return loud.length ? loud.at(-1)[0] - pressed : 0;
};
