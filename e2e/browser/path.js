// The path of a call: which of the TURN servers that the homeserver named the
// browser may use, and what came through.

let chosen = { via: "udp", wrongPassword: false };
let problems = []; // errors that the browser met while it asked for a relay

export function choosePath(path) {
    chosen = path;
    problems = [];
}

const matches = {
    udp: /^turn:.*transport=udp/,
    tcp: /^turn:.*transport=tcp/,
    tls: /^turns:.*transport=tcp/,
};

// The SDK hands all TURN servers to the browser, which would take the fastest.
// This keeps the ones that are to be tested, and can spoil the password.
window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(config) {
        const iceServers = config.iceServers
            .map((server) => ({
                ...server,
                urls: [server.urls].flat().filter((url) => matches[chosen.via].test(url)),
                credential: chosen.wrongPassword ? "not the password" : server.credential,
            }))
            .filter((server) => server.urls.length > 0);
        if (iceServers.length === 0) throw new Error(`the homeserver names no TURN server over ${chosen.via}`);
        if (config.iceTransportPolicy !== "relay") throw new Error("the call is not bound to relays");
        super({ ...config, iceServers });
        this.addEventListener("icecandidateerror", (e) => problems.push(`${e.errorCode} ${e.errorText}`));
    }
};

// mediaOf reads the counters of a connection: what it decoded, and the relay it
// got it through.
export async function mediaOf(connection) {
    const stats = await connection.getStats();
    const all = [...stats.values()];
    const inbound = (kind) => all.find((s) => s.type === "inbound-rtp" && s.kind === kind) ?? {};
    const transport = all.find((s) => s.type === "transport");
    const pair = stats.get(transport?.selectedCandidatePairId);
    const local = stats.get(pair?.localCandidateId);
    const audio = inbound("audio");
    return {
        videoFrames: inbound("video").framesDecoded ?? 0,
        audioSamples: (audio.totalSamplesReceived ?? 0) - (audio.concealedSamples ?? 0),
        audioEnergy: audio.totalAudioEnergy ?? 0,
        candidate: local?.candidateType,
        relayProtocol: local?.relayProtocol,
        relays: all.filter((s) => s.type === "local-candidate").length,
        gathering: connection.iceGatheringState,
        problems,
    };
}
