// Opens the status page in Chromium as different readers would, photographs it, and tells what it
// found as JSON on standard output. Usage: node look.js CHROMIUM URL PICTURES_DIR
import axe from "axe-core";
import puppeteer from "puppeteer-core";

const [chromium, url, pictures] = process.argv.slice(2);
const REFRESH_MS_MAX = 20000;

const views = [
    { name: "desktop", width: 1280, height: 900, scheme: "light", script: true },
    { name: "desktop-dark", width: 1280, height: 900, scheme: "dark", script: true },
    { name: "phone", width: 360, height: 740, scheme: "light", script: true },
    { name: "phone-dark", width: 360, height: 740, scheme: "dark", script: true },
    { name: "no-script", width: 360, height: 740, scheme: "light", script: false },
];

async function look(browser, view) {
    const page = await browser.newPage();
    const complaints = [];
    page.on("console", (message) => complaints.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
    page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()}`));
    page.on("request", (request) => {
        if (!request.url().startsWith(url) && !request.url().startsWith("data:")) {
            complaints.push(`elsewhere: ${request.url()}`);
        }
    });
    const devtools = await page.createCDPSession();
    await devtools.send("Log.enable");
    devtools.on("Log.entryAdded", ({ entry }) => complaints.push(`log: ${entry.text}`));
    await page.setJavaScriptEnabled(view.script);
    await page.setViewport({ width: view.width, height: view.height });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: view.scheme }]);
    await page.goto(url, { waitUntil: "load" });
    await page.screenshot({ path: `${pictures}/${view.name}.png`, fullPage: true });
    const seen = { name: view.name, complaints };
    if (view.script) {
        seen.overflow = await page.evaluate(
            () => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        await page.evaluate(axe.source);
        const { violations, passes } = await page.evaluate(() => axe.run(document));
        seen.axePasses = passes.length;
        seen.axeViolations = violations.map(
            ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
    }
    if (view.name === "desktop") {
        // Something of a running job changes all the time: its age.
        const before = await page.$eval("#jobs", (section) => section.textContent);
        await page.waitForFunction(
            (text) => document.getElementById("jobs").textContent !== text,
            { timeout: REFRESH_MS_MAX }, before);
        seen.refreshed = true;
    }
    seen.html = await page.content();
    await page.close();
    return seen;
}

const browser = await puppeteer.launch({
    executablePath: chromium,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"],
});
try {
    const seen = [];
    for (const view of views) {
        seen.push(await look(browser, view));
    }
    console.log(JSON.stringify(seen));
} finally {
    await browser.close();
}
