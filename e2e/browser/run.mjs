// The story that two browsers tell: register, create a room, invite, join, talk, read back, and call
// each other through the homeserver's TURN server over UDP, TCP and TLS. browser_test.go runs it:
//
//     HEARTH_URL=http://127.0.0.1:8008 HEARTH_SCREENSHOT=call.png node run.mjs
//
// Each step prints one line of JSON; the test judges the numbers in it.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { launch, person, report, serve } from "./stage.mjs";

const { HEARTH_URL, HEARTH_SCREENSHOT } = process.env;

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

const server = await serve("page.js");
const browser = await launch(
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection", // the TURN server is on 127.0.0.1
    "--ignore-certificate-errors", // its certificate is of our own making
);
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
