// One person at a screen: a very small Matrix client on matrix-js-sdk. The
// story (run.mjs) calls what `person` offers and looks at what comes back.
import { ClientEvent, Preset, RoomEvent, SyncState, createClient } from "matrix-js-sdk";
import { CallEventHandlerEvent } from "matrix-js-sdk/lib/webrtc/callEventHandler";
import { choosePath, mediaOf } from "./path.js";

const show = (id) => document.getElementById(id);
let client;
let call; // the call that runs now, or the last one

// register opens an account the way clients do: ask, learn the flows, answer.
async function register(baseUrl, username, password) {
    const anonymous = createClient({ baseUrl });
    let session;
    try {
        await anonymous.registerRequest({ username, password });
        throw new Error("registered without any authentication");
    } catch (refusal) {
        if (refusal.httpStatus !== 401) throw refusal;
        session = refusal.data.session;
    }
    const account = await anonymous.registerRequest({
        username,
        password,
        auth: { type: "m.login.dummy", session },
    });
    await start(baseUrl, account);
    return account.user_id;
}

async function start(baseUrl, account) {
    client = createClient({
        baseUrl,
        userId: account.user_id,
        deviceId: account.device_id,
        accessToken: account.access_token,
        forceTURN: true, // iceTransportPolicy: "relay"
    });
    client.on(RoomEvent.Timeline, (event) => {
        if (event.getType() !== "m.room.message") return;
        const line = document.createElement("li");
        line.textContent = `${event.getSender()}: ${event.getContent().body}`;
        show("timeline").append(line);
    });
    client.on(CallEventHandlerEvent.Incoming, (incoming) => {
        adopt(incoming);
        incoming.answer(true, true);
    });
    const prepared = new Promise((resolve) => {
        client.on(ClientEvent.Sync, (state) => state === SyncState.Prepared && resolve());
    });
    await client.startClient({ initialSyncLimit: 20 });
    await prepared;
    show("who").textContent = account.user_id;
}

async function createRoom(invited) {
    const { room_id } = await client.createRoom({
        preset: Preset.TrustedPrivateChat,
        is_direct: true,
        invite: [invited],
        name: "Two people",
    });
    return room_id;
}

// joinWhenInvited waits for the invitation, as a person would, and accepts it.
async function joinWhenInvited(roomId) {
    await until(() => client.getRoom(roomId)?.getMyMembership() === "invite");
    await client.joinRoom(roomId);
    await until(() => client.getRoom(roomId)?.getMyMembership() === "join");
}

const say = async (roomId, text) => (await client.sendTextMessage(roomId, text)).event_id;

const sees = (text) => until(() => show("timeline").textContent.includes(text));

// history reads the room back from the server, oldest first.
async function history(roomId) {
    const page = await client.createMessagesRequest(roomId, null, 50, "b");
    return page.chunk
        .filter((event) => event.type === "m.room.message")
        .map((event) => event.content.body)
        .reverse();
}

// place calls the other person in the room with sound and picture.
async function place(roomId) {
    adopt(client.createCall(roomId));
    await call.placeVideoCall();
}

function adopt(theCall) {
    call = theCall;
    call.on("feeds_changed", (feeds) => {
        for (const feed of feeds) {
            const screen = show(feed.isLocal() ? "local" : "remote");
            if (screen.srcObject !== feed.stream) screen.srcObject = feed.stream;
        }
    });
    call.on("error", (problem) => console.warn("call:", problem.code, problem.message));
}

// media says what the call has decoded so far.
async function media() {
    const facts = { state: call?.state, ...(call?.peerConn ? await mediaOf(call.peerConn) : {}) };
    show("facts").textContent = Object.entries(facts)
        .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
        .join("\n");
    return facts;
}

async function hangUp() {
    if (call && call.state !== "ended") call.hangup("user_hangup", false);
}

const ended = () => until(() => call?.state === "ended");

// until polls what the SDK knows; it has no one event for all of these.
async function until(done, seconds = 30) {
    for (const end = Date.now() + seconds * 1000; !(await done()); ) {
        if (Date.now() > end) throw new Error(`waited ${seconds} s in vain until ${done}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

window.person = {
    register, createRoom, joinWhenInvited, say, sees, history,
    choosePath, place, media, hangUp, ended,
};
