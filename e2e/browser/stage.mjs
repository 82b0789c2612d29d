// What every story needs: the page as one script, a server for it, and browsers that open it.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const { HEARTH_CHROMIUM = "/usr/bin/chromium" } = process.env;
const here = (file) => fileURLToPath(new URL(file, import.meta.url));

export const report = (step, facts = {}) => console.log(JSON.stringify({ step, ...facts }));

// bundle makes one script of a page's script and the SDK.
async function bundle(script) {
    const { outputFiles } = await build({
        entryPoints: [here(script)],
        bundle: true,
        write: false,
        format: "esm",
        define: { global: "globalThis" },
        logLevel: "error",
    });
    return outputFiles[0].contents;
}

// The SDK's encryption, which it fetches beside its script.
const wasm = "/pkg/matrix_sdk_crypto_wasm_bg.wasm";

// serve offers the page on another origin than the homeserver's, as most web
// clients are.
export async function serve(script) {
    const files = {
        "/": ["text/html", await readFile(here("page.html"))],
        "/page.js": ["text/javascript", await bundle(script)],
        [wasm]: ["application/wasm", await readFile(here(`node_modules/@matrix-org/matrix-sdk-crypto-wasm${wasm}`))],
    };
    const server = createServer((request, response) => {
        const [type, body] = files[request.url] ?? [];
        response.writeHead(type ? 200 : 404, { "Content-Type": type ?? "text/plain" }).end(body);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
}

export const launch = (...args) =>
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
            ...args,
        ],
    });

// person opens a page in a browser profile of its own. Every function that the
// page offers can be called on what it returns.
export async function person(browser, url, name) {
    const context = await browser.newContext({ viewport: { width: 640, height: 640 } });
    const page = await context.newPage();
    page.on("pageerror", (problem) => console.error(`${name}: ${problem.message}`));
    page.on("response", (answer) => {
        const request = answer.request();
        if (answer.status() >= 400) console.error(`${name}: ${answer.status()} to ${request.method()} ${request.url()}`);
    });
    page.on("console", (message) => {
        if (message.type() === "error") console.error(`${name}: ${message.text()}`);
    });
    await page.goto(url);
    await page.waitForFunction(() => window.person);
    const verbs = await page.evaluate(() => Object.keys(window.person));
    const ask = (verb) => (...args) => page.evaluate(([v, a]) => window.person[v](...a), [verb, args]);
    return { page, name, ...Object.fromEntries(verbs.map((verb) => [verb, ask(verb)])) };
}
