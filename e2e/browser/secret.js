// One person who encrypts: a very small Matrix client on matrix-js-sdk with its
// Rust encryption. The story (secret.mjs) calls what `person` offers and looks at
// what comes back.
import { ClientEvent, Preset, RoomEvent, SyncState, createClient } from "matrix-js-sdk";
import { CryptoEvent, VerificationPhase, VerifierEvent, decodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api";

let client;
let password;
let recoveryKey; // opens the user's secrets on the server; null if this device was not given it
let requested; // the last request of somebody to compare emoji
let compare; // what to say when they were compared

const crypto = () => client.getCrypto();

async function register(baseUrl, username, thePassword) {
    const anonymous = createClient({ baseUrl });
    const { session } = await anonymous.registerRequest({ username, password: thePassword }).catch((refusal) => refusal.data);
    const auth = { type: "m.login.dummy", session };
    return start(baseUrl, await anonymous.registerRequest({ username, password: thePassword, auth }), thePassword);
}

// login is what the same person does on a new device.
async function login(baseUrl, user, thePassword) {
    const account = await createClient({ baseUrl }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user },
        password: thePassword,
    });
    return start(baseUrl, account, thePassword);
}

async function start(baseUrl, account, thePassword) {
    password = thePassword;
    client = createClient({
        baseUrl,
        userId: account.user_id,
        deviceId: account.device_id,
        accessToken: account.access_token,
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => recoveryKey && [Object.keys(keys)[0], recoveryKey],
        },
    });
    await client.initRustCrypto();
    crypto().setTrustCrossSignedDevices(true);
    client.on(CryptoEvent.VerificationRequestReceived, (request) => (requested = request));
    client.on(RoomEvent.Timeline, show);
    const prepared = new Promise((resolve) => {
        client.on(ClientEvent.Sync, (state) => state === SyncState.Prepared && resolve());
    });
    await client.startClient({ initialSyncLimit: 50 });
    await prepared;
    document.getElementById("who").textContent = `${account.user_id} ${account.device_id}`;
    return account.user_id;
}

function show() {
    const lines = client.getRooms().flatMap((room) => room.getLiveTimeline().getEvents()).map((event) => {
        const line = document.createElement("li");
        line.textContent = `${event.getSender()}: ${event.getContent().body ?? event.getType()}`;
        return line;
    });
    document.getElementById("timeline").replaceChildren(...lines);
}

// crossSign makes the user's own keys, which the server takes for a password.
const crossSign = () =>
    crypto().bootstrapCrossSigning({
        authUploadDeviceSigningKeys: async (upload) => {
            try {
                return await upload(null);
            } catch (refusal) {
                if (refusal.httpStatus !== 401) throw refusal;
                return upload({
                    type: "m.login.password",
                    session: refusal.data.session,
                    identifier: { type: "m.id.user", user: client.getUserId() },
                    password,
                });
            }
        },
    });

// keepSafe puts the user's secrets and room keys on the server, and returns the
// recovery key, which the user writes down.
async function keepSafe() {
    const made = await crypto().createRecoveryKeyFromPassphrase();
    recoveryKey = made.privateKey;
    await crypto().bootstrapSecretStorage({
        createSecretStorageKey: async () => made,
        setupNewSecretStorage: true,
        setupNewKeyBackup: true,
    });
    await crypto().checkKeyBackupAndEnable();
    return made.encodedPrivateKey;
}

// backedUp waits until the server has that many room keys. What the SDK says of
// its backup is from the day it was made.
const backedUp = (count) =>
    until(async () => (await client.http.authedRequest("GET", "/room_keys/version")).count >= count);

// sleep leaves a device on the server that collects keys while this person has none
// (MSC3814).
const sleep = () => crypto().startDehydration({ rehydrate: false });

// wake takes the keys that the device on the server collected.
async function wake() {
    let keys = 0;
    client.on(CryptoEvent.RehydrationProgress, (roomKeys) => (keys = roomKeys));
    await crypto().startDehydration();
    return keys;
}

// knows waits until this device has heard of that many devices of somebody.
const knows = (user, devices) =>
    until(async () => (await crypto().getUserDeviceInfo([user])).get(user)?.size >= devices);

// startAnew has the next message encrypted with a key that nobody has yet.
const startAnew = (roomId) => crypto().forceDiscardSession(roomId);

async function createRoom(invited) {
    const { room_id } = await client.createRoom({
        preset: Preset.TrustedPrivateChat,
        is_direct: true,
        invite: [invited],
        initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    await until(() => crypto().isEncryptionEnabledInRoom(room_id));
    return room_id;
}

async function joinWhenInvited(roomId) {
    await until(() => client.getRoom(roomId)?.getMyMembership() === "invite");
    await client.joinRoom(roomId);
    await until(() => crypto().isEncryptionEnabledInRoom(roomId));
}

const hasMember = (roomId, user) => until(() => client.getRoom(roomId)?.getMember(user)?.membership === "join");

const say = async (roomId, text) => (await client.sendTextMessage(roomId, text)).event_id;

const messages = (roomId) =>
    client.getRoom(roomId).getLiveTimeline().getEvents().filter((event) => event.isEncrypted());

// reads is what this device can make of the room's messages: their text, or null.
const reads = (roomId) =>
    messages(roomId)
        .filter((event) => event.isDecryptionFailure() || event.getType() === "m.room.message")
        .map((event) => (event.isDecryptionFailure() ? null : event.getContent().body));

async function sees(roomId, ...texts) {
    await until(() => texts.every((text) => reads(roomId).includes(text)));
    show();
}

// failsToRead waits until this device has tried that many messages.
async function failsToRead(roomId, count) {
    await until(() => messages(roomId).length >= count && messages(roomId).every((event) => !event.isBeingDecrypted()));
    return reads(roomId);
}

// onServer is what the server has of the room's messages, as it has it.
async function onServer(roomId) {
    const page = await client.createMessagesRequest(roomId, null, 50, "b");
    return page.chunk.filter((event) => event.type.startsWith("m.room.message") || event.type === "m.room.encrypted");
}

// recover opens the secrets with a recovery key, signs this device with them and
// fetches the room keys. It returns how many those are.
async function recover(key) {
    recoveryKey = decodeRecoveryKey(key);
    await until(async () => (await crypto().getCrossSigningStatus()).publicKeysOnDevice);
    await crypto().bootstrapCrossSigning({});
    await crypto().loadSessionBackupPrivateKeyFromSecretStorage();
    await crypto().checkKeyBackupAndEnable();
    return (await crypto().restoreKeyBackup()).imported;
}

// recoverInVain tries the same with a key that is not the user's.
async function recoverInVain() {
    const { encodedPrivateKey } = await crypto().createRecoveryKeyFromPassphrase();
    try {
        return `recovered ${await recover(encodedPrivateKey)} keys`;
    } catch (refusal) {
        return `refused: ${refusal.message}`;
    } finally {
        recoveryKey = null;
    }
}

// propose asks somebody, or one's own other devices, to compare emoji, and
// answers what is to be compared.
async function propose(user, roomId) {
    const request = user
        ? await crypto().requestVerificationDM(user, roomId)
        : await crypto().requestOwnUserVerification();
    await until(() => request.phase === VerificationPhase.Ready);
    return emojiOf(await request.startVerification("m.sas.v1"));
}

async function answer() {
    await until(() => requested);
    const request = requested;
    requested = undefined;
    await request.accept();
    await until(() => request.verifier);
    return emojiOf(request.verifier);
}

function emojiOf(verifier) {
    return new Promise((resolve, reject) => {
        const done = verifier.verify();
        done.catch(reject);
        const shown = (sas) => {
            compare = async () => {
                await sas.confirm();
                await done;
            };
            resolve(sas.sas.emoji.map(([emoji]) => emoji).join(" "));
        };
        const already = verifier.getShowSasCallbacks();
        if (already) shown(already);
        else verifier.on(VerifierEvent.ShowSas, shown);
    });
}

const theyMatch = () => compare();

const trusts = async (user) => (await crypto().getUserVerificationStatus(user)).isCrossSigningVerified();

// comesToTrust waits for what follows from comparing emoji: signatures, which the
// client sends and reads back.
const comesToTrust = (user) => until(() => trusts(user));

// signed waits until this device counts as the user's own.
const signed = () =>
    until(async () =>
        (await crypto().getDeviceVerificationStatus(client.getUserId(), client.getDeviceId()))?.crossSigningVerified,
    );

// until polls what the SDK knows; it has no one event for all of these.
async function until(done, seconds = 30) {
    for (const end = Date.now() + seconds * 1000; !(await done()); ) {
        if (Date.now() > end) throw new Error(`waited ${seconds} s in vain until ${done}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

window.person = {
    register, login, crossSign, keepSafe, backedUp, createRoom, joinWhenInvited, hasMember, say, sees, failsToRead,
    onServer, sleep, wake, knows, startAnew, recover, recoverInVain, propose, answer, theyMatch, trusts, comesToTrust, signed,
};
