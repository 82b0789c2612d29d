// The story that two browsers tell: register, create a room, invite, join, talk, read back, and call
// each other through the homeserver's TURN server over UDP, TCP and TLS. browser_test.go runs it:
//
//     HEARTH_URL=http://127.0.0.1:8008 HEARTH_SCREENSHOT=call.png node run.mjs
//
// Each step prints one line of JSON; the test judges the numbers in it.
import { createServer } from "node:http";
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const { HEARTH_URL, HEARTH_SCREENSHOT, HEARTH_CHROMIUM = "/usr/bin/chromium" } = process.env;
const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const report = (step, facts = {}) => console.log(JSON.stringify({ step, ...facts }));

// bundle makes one script of the page and the SDK.
async function bundle() {
    const { outputFiles } = await build({
        entryPoints: [here("page.js")],
        bundle: true,
        write: false,
        format: "esm",
        define: { global: "globalThis" },
        logLevel: "error",
    });
    return outputFiles[0].contents;
}

// serve offers the page on another origin than the homeserver's, as most web
// clients are.
async function serve() {
    const files = {
        "/": ["text/html", await readFile(here("page.html"))],
        "/page.js": ["text/javascript", await bundle()],
    };
    const server = createServer((request, response) => {
        const [type, body] = files[request.url] ?? [];
        response.writeHead(type ? 200 : 404, { "Content-Type": type ?? "text/plain" }).end(body);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
}

const launch = () =>
    chromium.launch({
        executablePath: HEARTH_CHROMIUM,
        args: [
            "--no-sandbox", // the tests run as root in CI
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--autoplay-policy=no-user-gesture-required",
            "--allow-loopback-in-peer-connection", // the TURN server is on 127.0.0.1
            "--ignore-certificate-errors", // its certificate is of our own making
        ],
    });

// person opens a page in a browser profile of its own. Every function that
// page.js offers can be called on what it returns.
async function person(browser, url, name) {
    const context = await browser.newContext({ viewport: { width: 640, height: 640 } });
    const page = await context.newPage();
    page.on("pageerror", (problem) => console.error(`${name}: ${problem.message}`));
    page.on("console", (message) => {
        if (message.type() === "error") console.error(`${name}: ${message.text()}`);
    });
    await page.goto(url);
    await page.waitForFunction(() => window.person);
    const verbs = await page.evaluate(() => Object.keys(window.person));
    const ask = (verb) => (...args) => page.evaluate(([v, a]) => window.person[v](...a), [verb, args]);
    return { page, name, ...Object.fromEntries(verbs.map((verb) => [verb, ask(verb)])) };
}

async function talk(alice, bob) {
    const stamp = Date.now().toString(36);
    const [aliceId, bobId] = await Promise.all(
        [alice, bob].map((p) => p.register(HEARTH_URL, `${p.name}-${stamp}`, `password of ${p.name}`)),
    );
    report("register", { people: [aliceId, bobId] });
    const room = await alice.createRoom(bobId);
    await bob.joinWhenInvited(room);
    report("join", { room });

    await alice.say(room, "Is the hearth warm?");
    await bob.sees("Is the hearth warm?");
    await bob.say(room, "It is. Come in.");
    await alice.sees("It is. Come in.");
    report("history", { messages: await bob.history(room) });
    return room;
}

// callOver holds one call over one transport until both sides have decoded a
// second or two of sound and picture.
async function callOver(via, room, alice, bob) {
    await Promise.all([alice, bob].map((p) => p.choosePath({ via, wrongPassword: false })));
    await alice.place(room);
    const enough = (m) => m.videoFrames >= 40 && m.audioSamples >= 48_000 && m.audioEnergy > 0;
    const sides = await poll(60, () => Promise.all([alice.media(), bob.media()]), (sides) => sides.every(enough));
    if (HEARTH_SCREENSHOT && via === "udp") {
        await mkdir(dirname(HEARTH_SCREENSHOT), { recursive: true });
        await bob.page.screenshot({ path: HEARTH_SCREENSHOT });
    }
    await alice.hangUp();
    await Promise.all([alice.ended(), bob.ended()]);
    report("call", { via, alice: sides[0], bob: sides[1] });
}

// callInVain is the control: with a wrong password there is no relay, so nothing
// may come through.
async function callInVain(via, room, alice, bob) {
    await Promise.all([alice, bob].map((p) => p.choosePath({ via, wrongPassword: true })));
    await alice.place(room);
    const side = await poll(30, () => alice.media(), (m) => m.gathering === "complete" && m.problems.length > 0);
    await alice.hangUp();
    await alice.ended();
    report("wrong password", { via, alice: side });
}

// poll asks until the answer will do, and gives the last answer in any case.
async function poll(seconds, ask, willDo) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const answer = await ask();
        if (willDo(answer) || Date.now() > end) return answer;
        await new Promise((resolve) => setTimeout(resolve, 250));
    }
}

const server = await serve();
const browser = await launch();
try {
    const url = `http://localhost:${server.address().port}/`;
    const [alice, bob] = await Promise.all(["alice", "bob"].map((name) => person(browser, url, name)));
    const room = await talk(alice, bob);
    for (const via of ["udp", "tcp", "tls"]) await callOver(via, room, alice, bob);
    for (const via of ["udp", "tcp", "tls"]) await callInVain(via, room, alice, bob);
} finally {
    await browser.close();
    server.close();
}
