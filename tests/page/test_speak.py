"""The tab that speaks: sound really comes, words light up in order, Stop is silence, and the numbers are true."""

import pytest
from playwright.sync_api import Browser, Page

from tests.page.visiting import lit, number, silenced_ms, speak, until_sound, until_status, visit
from tests.serving import Served

TEXT = "Good evening. A window seat is $84.50, and 🎉 it leaves at 7:30."
LONG = "This sentence goes on and on, and it does not end before it has said all that it has to say about itself. " * 3
MAX_SILENCE_MS = 150.0


@pytest.mark.parametrize("mode", ["websocket", "batch", "stream", "adaptive"])
def test_each_mode_is_heard(page: Page, hibari_server: Served, mode: str) -> None:
    visit(page, hibari_server.url)
    speak(page, TEXT, mode)
    until_status(page, "speak", "Spoken")
    num_loud = page.evaluate("heard.levels.filter(([, rms]) => rms > 0.01).length")
    assert num_loud > 20
    assert number(page, "speak", "first").endswith(" ms")
    assert 0 < float(number(page, "speak", "rtf")) < 10
    assert number(page, "speak", "buffer") == "0.0 s"


@pytest.mark.parametrize("mode", ["websocket", "batch"])
def test_words_light_up_in_order_as_they_are_spoken(page: Page, hibari_server: Served, mode: str) -> None:
    visit(page, hibari_server.url)
    speak(page, TEXT, mode)
    until_status(page, "speak", "Spoken")
    words = [word for word in TEXT.split() if word != "🎉"]
    assert lit(page) == words
    times = [at for _, at in page.evaluate("heard.words")]
    assert times == sorted(times)
    assert times[-1] - times[0] > 2000, "they light up while it is spoken"
    assert page.locator("#speak-words .word[data-state=spoken]").count() == len(words)
    assert page.text_content("#speak-words") == TEXT


@pytest.mark.parametrize("mode", ["websocket", "batch", "stream", "adaptive"])
def test_stop_is_silence_within_150_ms(page: Page, hibari_server: Served, mode: str) -> None:
    visit(page, hibari_server.url)
    took_ms: list[float] = []
    while len(took_ms) < 3 and (not took_ms or took_ms[-1] > MAX_SILENCE_MS):  # the machine is shared
        speak(page, LONG, mode)
        took_ms.append(silenced_ms(page, "speak-stop"))
        until_status(page, "speak", "Stopped")
    assert took_ms[-1] <= MAX_SILENCE_MS, took_ms
    assert page.evaluate("level()") == 0


def test_who_speaks_again_hears_the_second_alone(page: Page, hibari_server: Served) -> None:
    visit(page, hibari_server.url)
    speak(page, LONG)
    page.fill("#text", "Something else.")
    page.click("#speak")
    until_status(page, "speak", "Spoken")
    assert lit(page)[-2:] == ["Something", "else."]
    assert page.text_content("#speak-words") == "Something else."


def test_a_text_that_cannot_be_spoken_is_answered_and_not_an_end(page: Page, fake_server: Served) -> None:
    visit(page, fake_server.url)
    page.fill("#text", "   ")
    page.click("#speak")
    until_status(page, "speak", "There is nothing to speak yet.")
    page.fill("#text", "🎉")
    page.click("#speak")
    until_status(page, "speak", "Spoken")
    speak(page, "Good morning.")
    until_status(page, "speak", "Spoken")


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000, 96000])
def test_sound_is_whole_at_any_rate_of_the_device(page: Page, fake_server: Served, rate_hz: int) -> None:
    """Pushed in pieces of any size, a tone comes out of the page's own worklet as a tone: no gap, no click."""
    visit(page, fake_server.url)
    worst, loudness = page.evaluate(
        """async rate => {
            const {Resampler} = await import("/page/resampler.js");
            const context = new OfflineAudioContext(1, rate, rate);
            await context.audioWorklet.addModule("/page/worklet.js");
            const node = new AudioWorkletNode(context, "tiding-playback", {numberOfInputs: 0, outputChannelCount: [1]});
            node.connect(context.destination);
            node.port.postMessage({do: "begin", utterance: 1});
            const from = 22050, turn = 2 * Math.PI * 440 / from;
            const tone = Float32Array.from({length: from}, (_, n) => 0.5 * Math.sin(turn * n));
            const resampler = new Resampler(from, rate);
            const push = samples => samples.length && node.port.postMessage({do: "add", samples});
            for (let at = 0, size = 1; at < tone.length; at += size, size = size * 7 % 1009) {
                push(resampler.process(tone.subarray(at, at + size)));
            }
            push(resampler.finish());
            await new Promise(resolve => setTimeout(resolve, 300));
            const all = (await context.startRendering()).getChannelData(0);
            const heard = all.subarray(Math.round(rate / 20), Math.round(rate * 0.9));
            const step = 2 * Math.PI * 440 / rate;  // a tone is what its neighbours say it is
            let worst = 0, sum = 0;
            for (let n = 1; n < heard.length - 1; n++) {
                worst = Math.max(worst, Math.abs(heard[n - 1] + heard[n + 1] - 2 * Math.cos(step) * heard[n]));
                sum += heard[n] ** 2;
            }
            return [worst, Math.sqrt(sum / heard.length)];
        }""",
        rate_hz,
    )
    assert worst < 0.002
    assert loudness == pytest.approx(0.5 / 2**0.5, rel=0.02)


def test_pieces_of_any_size_are_resampled_as_the_whole(page: Page, fake_server: Served) -> None:
    visit(page, fake_server.url)
    differs = page.evaluate("""async () => {
        const {Resampler} = await import("/page/resampler.js");
        const noise = Float32Array.from({length: 5000}, () => Math.random() - 0.5);
        const run = sizes => {
            const resampler = new Resampler(24000, 44100), all = [];
            for (let at = 0, n = 0; at < noise.length; at += sizes[n++ % sizes.length]) {
                all.push(...resampler.process(noise.subarray(at, at + sizes[n % sizes.length])));
            }
            return [...all, ...resampler.finish()];
        };
        const whole = run([5000]);
        return [[1], [7, 400, 3], [128], [4999]].map(sizes => {
            const parts = run(sizes);
            return Math.max(Math.abs(parts.length - whole.length), ...whole.map((x, n) => Math.abs(x - parts[n])));
        });
    }""")
    assert all(each < 1e-5 for each in differs), differs


def test_an_underrun_is_counted_once_and_the_end_is_none(page: Page, fake_server: Served) -> None:
    visit(page, fake_server.url)
    counted = page.evaluate("""async () => {
        const {Player} = await import("/page/player.js");
        const player = new Player(), rest = ms => new Promise(resolve => setTimeout(resolve, ms));
        await player.open();
        player.begin();
        player.add(new Float32Array(4800).fill(0.1), 48000);
        await rest(500);
        player.add(new Float32Array(4800).fill(0.1), 48000);
        await player.end();
        await rest(100);
        return player.numUnderruns;
    }""")
    assert counted == 1


# -- for everybody -----------------------------------------------------------------------------------------------------


def test_all_of_it_can_be_done_from_the_keyboard(page: Page, hibari_server: Served) -> None:
    visit(page, hibari_server.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#panel-talk")
    page.keyboard.press("ArrowLeft")
    assert page.is_visible("#panel-speak")
    page.focus("#text")
    page.keyboard.press("Control+Enter")
    until_sound(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "speak-stop"
    page.keyboard.press("Enter")
    until_status(page, "speak", "Stopped")


def test_everything_that_can_be_used_has_a_name(page: Page, fake_server: Served) -> None:
    visit(page, fake_server.url)
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, select, textarea, input, canvas, [role]")]
        .filter(each => !(each.getAttribute("aria-label") || each.labels?.length || each.textContent.trim()
            || each.getAttribute("aria-labelledby")))
        .map(each => each.outerHTML)""")
    assert [name for name in nameless if 'role="status"' not in name and 'role="alert"' not in name] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(browser: Browser, fake_server: Served, scheme: str) -> None:
    """Source: WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    page = browser.new_page(color_scheme=scheme)
    visit(page, fake_server.url)
    ratios = page.evaluate("""() => {
        const style = getComputedStyle(document.documentElement);
        const light = name => {
            const value = parseInt(style.getPropertyValue(name).trim().slice(1), 16);
            const [r, g, b] = [value >> 16, value >> 8 & 255, value & 255].map(c => c / 255)
                .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const pairs = [["--ink", "--card"], ["--muted", "--card"], ["--muted", "--ground"], ["--ink", "--ground"],
                       ["--on-accent", "--accent"], ["--on-now", "--now"], ["--accent", "--card"],
                       ["--held", "--ground"]];
        return pairs.map(pair => {
            const [low, high] = pair.map(light).sort((a, b) => a - b);
            return [pair.join(" on "), (high + 0.05) / (low + 0.05)];
        });
    }""")
    page.close()
    assert [pair for pair, ratio in ratios if ratio < 4.5] == []


def test_a_phone_shows_all_of_it_without_scrolling_sideways(page: Page, fake_server: Served) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    visit(page, fake_server.url)
    for tab in ("#tab-speak", "#tab-talk"):
        page.click(tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_theme_that_was_chosen_is_kept(page: Page, fake_server: Served) -> None:
    visit(page, fake_server.url)
    page.click("#theme")
    chosen = page.evaluate("document.documentElement.dataset.theme")
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    assert page.evaluate("document.documentElement.dataset.theme") == chosen == "dark"
