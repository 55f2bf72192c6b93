// What a page does with speech: fetches it, decodes it, and plays it in a media element.

/** The audio that a path answers a text with. */
async function speech(path, body) {
  const response = await fetch(path, {method: "POST", body: JSON.stringify(body)});
  if (!response.ok) throw new Error(await response.text());
  return await response.blob();
}

/** All samples of a file, (N,) float32 at `rateHz`, in base64. */
async function decoded(blob, rateHz) {
  const context = new OfflineAudioContext(1, 1, rateHz);
  const audio = await context.decodeAudioData(await blob.arrayBuffer());
  if (audio.numberOfChannels !== 1) throw new Error(`${audio.numberOfChannels} channels`);
  const bytes = new Uint8Array(audio.getChannelData(0).buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

/** What a media element makes of an address, from its first sound to its end, and the loudest that it sounded. */
async function played(url) {
  const element = new Audio(url);
  const context = new AudioContext();
  const meter = context.createAnalyser();
  context.createMediaElementSource(element).connect(meter).connect(context.destination);
  const samples = new Float32Array(meter.fftSize);
  let loudest = 0;
  const measure = setInterval(() => {
    meter.getFloatTimeDomainData(samples);
    loudest = Math.max(loudest, Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length));
  }, 20);
  try {
    await new Promise((resolve, reject) => {
      element.onended = resolve;
      element.onerror = () => reject(new Error(`${element.error.code}: ${element.error.message}`));
      element.play().catch(reject);
    });
    const ranges = element.played;
    return {
      durationS: element.duration,
      playedS: ranges.length ? ranges.end(ranges.length - 1) - ranges.start(0) : 0,
      numRanges: ranges.length,
      loudest,
    };
  } finally {
    clearInterval(measure);
    await context.close();
  }
}
