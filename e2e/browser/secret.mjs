// The story that browsers tell about secrets: two people encrypt what they say, compare emoji, and one of
// them reads it all on a new device, first without and then with the recovery key. What was said while she had no device was kept for her by a dehydrated one. secret_test.go runs it:
//
//     HEARTH_URL=http://127.0.0.1:8008 HEARTH_SCREENSHOT=secret.png node secret.mjs
//
// Each step prints one line of JSON; the test judges what is in it.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { launch, person, report, serve } from "./stage.mjs";

const { HEARTH_URL, HEARTH_SCREENSHOT } = process.env;
const stamp = Date.now().toString(36);
const passwordOf = (who) => `password of ${who}`;

// whisper has both say something that only they can read.
async function whisper(alice, bob) {
    const [aliceId, bobId] = await Promise.all(
        [alice, bob].map((p) => p.register(HEARTH_URL, `${p.name}-${stamp}`, passwordOf(p.name))),
    );
    await Promise.all([alice.crossSign(), bob.crossSign()]);
    const recoveryKey = await alice.keepSafe();
    const room = await alice.createRoom(bobId);
    await bob.joinWhenInvited(room);
    await alice.hasMember(room, bobId);

    await alice.say(room, "The key is under the stone.");
    await bob.sees(room, "The key is under the stone.");
    await bob.say(room, "I put it back there.");
    await alice.sees(room, "I put it back there.");
    report("whisper", { onServer: await alice.onServer(room) });
    return { aliceId, bobId, room, recoveryKey };
}

// compareEmoji has two devices show emoji, and their people say that they match.
async function compareEmoji(asks, answers, ...whom) {
    const emoji = await Promise.all([asks.propose(...whom), answers.answer()]);
    await Promise.all([asks.theyMatch(), answers.theyMatch()]);
    return emoji;
}

const server = await serve("secret.js");
const browser = await launch();
try {
    const url = `http://localhost:${server.address().port}/`;
    const open = (name) => person(browser, url, name);
    const [alice, bob] = await Promise.all([open("alice"), open("bob")]);
    const { aliceId, bobId, room, recoveryKey } = await whisper(alice, bob);

    const before = [await alice.trusts(bobId), await bob.trusts(aliceId)];
    const emoji = await compareEmoji(alice, bob, bobId, room);
    await Promise.all([alice.comesToTrust(bobId), bob.comesToTrust(aliceId)]);
    report("emoji", { emoji, before, after: [await alice.trusts(bobId), await bob.trusts(aliceId)] });

    // Bob's tablet gets signed by his other device, over messages between the two.
    const tablet = await open("bob's tablet");
    await tablet.login(HEARTH_URL, bobId, passwordOf("bob"));
    await bob.knows(bobId, 2); // his client lets requests of devices fall that it has not looked up yet
    const own = await compareEmoji(tablet, bob);
    await tablet.signed();
    report("own emoji", { emoji: own });
    await bob.say(room, "My tablet reads this too.");
    await tablet.sees(room, "My tablet reads this too.");
    await alice.sees(room, "My tablet reads this too.");

    // Alice loses her device; nothing but the server and the recovery key is left.
    await alice.backedUp(2);
    await alice.sleep();
    await alice.page.close();
    await bob.knows(aliceId, 2);
    await bob.startAnew(room);
    await bob.say(room, "You were away.");
    const laptop = await open("alice's laptop");
    await laptop.login(HEARTH_URL, aliceId, passwordOf("alice"));
    report("without the key", { reads: await laptop.failsToRead(room, 4) });
    report("wrong key", { outcome: await laptop.recoverInVain(), reads: await laptop.failsToRead(room, 4) });
    const imported = await laptop.recover(recoveryKey);
    await laptop.signed();
    await laptop.sees(room, "The key is under the stone.", "I put it back there.", "My tablet reads this too.");
    report("recovered", { imported, reads: await laptop.failsToRead(room, 4) });
    const collected = await laptop.wake();
    await laptop.sees(room, "You were away.");
    report("awake", { imported: collected, reads: await laptop.failsToRead(room, 4) });
    if (HEARTH_SCREENSHOT) {
        await mkdir(dirname(HEARTH_SCREENSHOT), { recursive: true });
        await laptop.page.screenshot({ path: HEARTH_SCREENSHOT });
    }
} finally {
    await browser.close();
    server.close();
}
