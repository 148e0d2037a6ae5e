// Open a page from disk at three widths, in light and dark: node look.mjs PAGE [FOLDER]
// Prints what is wrong as JSON; pictures and a print go to FOLDER.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [page_path, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run"],
});
const address = pathToFileURL(page_path).href;
const faults = [];

// Text that its box hides, what is wider than the page, and blocks that overlap.
function cut() {
  const found = [];
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth)
    found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const element of document.querySelectorAll("body *:not(svg *)")) {
    const style = getComputedStyle(element);
    const hides = ["hidden", "clip"].includes(style.overflowX);
    if (hides && element.scrollWidth > element.clientWidth + 1)
      found.push(`${element.tagName} hides text: ${element.textContent.slice(0, 40)}`);
    if (style.textOverflow === "ellipsis") found.push(`${element.tagName} ends in dots`);
    const next = element.nextElementSibling;
    if (next && style.display !== "inline" && getComputedStyle(next).display !== "inline") {
      const [a, b] = [element, next].map((one) => one.getBoundingClientRect());
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 1)
        found.push(`${element.tagName}.${element.className} overlaps ${next.tagName}`);
    }
  }
  return found;
}

for (const colorScheme of ["light", "dark"])
  for (const width of [400, 900, 1500]) {
    const where = `${width} ${colorScheme}`;
    // The page forbids scripts; looking for faults needs one of ours.
    const context = await browser.newContext({
      viewport: { width, height: 900 }, colorScheme, bypassCSP: true,
    });
    const page = await context.newPage();
    page.on("console", (message) => faults.push(`${where}: console: ${message.text()}`));
    page.on("pageerror", (error) => faults.push(`${where}: error: ${error}`));
    page.on("dialog", (dialog) => { faults.push(`${where}: a script ran`); dialog.dismiss(); });
    page.on("request", (request) => {
      if (request.url() !== address && !request.url().startsWith("data:"))
        faults.push(`${where}: asks for ${request.url()}`);
    });
    await page.goto(address);
    if (folder) {
      await page.screenshot({ path: `${folder}/${width}-${colorScheme}.png`, fullPage: true });
    }
    await page.evaluate(() => {
      for (const details of document.querySelectorAll("details")) details.open = true;
    });
    for (const fault of await page.evaluate(cut)) faults.push(`${where}: ${fault}`);
    // Dark changes nothing but colours, which are the same at each width.
    if (colorScheme === "dark" && width !== 900) { await context.close(); continue; }
    await page.evaluate(axe);
    const { violations } = await page.evaluate(
      () => window.axe.run({ resultTypes: ["violations"] }));
    for (const found of violations)
      faults.push(`${where}: axe: ${found.help}: ${found.nodes[0].html.slice(0, 200)}`);
    await context.close();
  }

// As a reader opens it, with the page's policy in force: the button copies or selects the command.
const page = await browser.newPage();
page.on("console", (message) => faults.push(`console: ${message.text()}`));
await page.goto(address);
if (folder) await page.pdf({ path: `${folder}/print.pdf`, preferCSSPageSize: true });
for (const button of await page.locator("button").all()) {
  await button.click({ timeout: 5000 }).catch((error) => faults.push(`button: ${error}`));
  await page.waitForTimeout(100);
  const said = await button.textContent();
  if (!["Copied", "Selected"].includes(said)) faults.push(`the button says ${said}`);
}
await browser.close();
console.log(JSON.stringify(faults, null, 1));
