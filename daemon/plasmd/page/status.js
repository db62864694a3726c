// Fetches the page again and takes over what is in it, while somebody looks. The server has escaped
// everything; scripts in what is parsed here do not run.
"use strict";

const INTERVAL_MS = 2000;
const FETCH_MS = 5000;

let timer = 0;

function say(text) {
    const news = document.getElementById("news");
    if (news.textContent !== text) {
        news.textContent = text;
    }
}

async function refresh() {
    try {
        const answer = await fetch("/", { signal: AbortSignal.timeout(FETCH_MS) });
        if (!answer.ok) {
            throw new Error(String(answer.status));
        }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("status");
        const shown = document.getElementById("status");
        // Only what has changed, so that selected text elsewhere stays selected.
        const replace = (old, next) => {
            if (!old.isEqualNode(next)) {
                old.replaceWith(document.importNode(next, true));
            }
        };
        replace(shown.querySelector("header"), fresh.querySelector("header"));
        for (const section of shown.querySelectorAll("section")) {
            const next = page.getElementById(section.id);
            if (next !== null) {
                replace(section, next);
            }
        }
        replace(document.querySelector("footer time"), page.querySelector("footer time"));
        say("Kept up to date.");
    } catch {
        say("The worker does not answer; trying again.");
    }
    schedule();
}

function schedule() {
    clearTimeout(timer);
    if (!document.hidden) {
        timer = setTimeout(refresh, INTERVAL_MS);
    }
}

document.addEventListener("visibilitychange", schedule);
say("Kept up to date.");
schedule();
