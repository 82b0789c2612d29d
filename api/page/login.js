// Logs in or registers, and hands the answer to the client that shows the page
// (client-server-api/#login-fallback).
"use strict";
const form = document.querySelector("form");
const wrong = document.querySelector(".wrong");
const registers = form.dataset.do === "register";
const base = location.pathname.replace(/static\/client\/.*$/, "client/v3/");

function extra() {
	const out = {};
	for (const [name, value] of new URLSearchParams(location.search)) {
		if (name === "device_id" || name === "initial_device_display_name") out[name] = value;
		if (name === "refresh_token") out[name] = value === "true";
	}
	return out;
}

async function send(path, body) {
	const res = await fetch(base + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
	return [res.status, await res.json()];
}

function done(answer) {
	if (registers && window.matrixRegistration && window.matrixRegistration.onRegistered) {
		window.matrixRegistration.onRegistered(answer.home_server, answer.user_id, answer.access_token);
	} else if (window.matrixLogin && window.matrixLogin.onLogin) {
		window.matrixLogin.onLogin(answer);
	}
	form.hidden = true;
	wrong.textContent = "You are logged in as " + answer.user_id + ". You can close this page.";
}

// stages does what is left of an authentication in a window of its own.
function stage(name, session) {
	return new Promise((resolve) => {
		const url = base + "auth/" + encodeURIComponent(name) + "/fallback/web?session=" + encodeURIComponent(session);
		window.open(url);
		addEventListener("message", function heard(ev) {
			if (ev.origin !== location.origin || ev.data !== "authDone") return;
			removeEventListener("message", heard);
			resolve();
		});
	});
}

async function register(body) {
	let [status, answer] = await send("register", body);
	while (status === 401 && answer.flows) {
		const flow = answer.flows[answer.flows.length - 1];
		const left = flow.stages.find((s) => !(answer.completed || []).includes(s));
		if (left === "m.login.dummy") {
			[status, answer] = await send("register", { ...body, auth: { type: left, session: answer.session } });
			continue;
		}
		await stage(left, answer.session);
		[status, answer] = await send("register", { ...body, auth: { session: answer.session } });
	}
	return [status, answer];
}

form.addEventListener("submit", async (ev) => {
	ev.preventDefault();
	wrong.textContent = "";
	const user = form.elements.user.value.trim();
	const password = form.elements.password.value;
	try {
		const [status, answer] = registers
			? await register({ ...extra(), username: user, password })
			: await send("login", { ...extra(), type: "m.login.password", identifier: { type: "m.id.user", user }, password });
		if (status === 200) done(answer);
		else wrong.textContent = answer.error || "That did not work.";
	} catch {
		wrong.textContent = "The server cannot be reached.";
	}
});
