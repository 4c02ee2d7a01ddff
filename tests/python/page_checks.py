"""What is to hold of every view of the page: names, labels, contrast, width, stillness."""

# Runs before the page's own scripts.
COLLECT_VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (it) => violations.push(`${it.violatedDirective}: ${it.blockedURI}`));
"""

# Contrast as WCAG 2 computes it, of every text that is seen, against the colours that lie behind it.
_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = (element) => {
    if (element === null) return [255, 255, 255, 1];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(element.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const style = getComputedStyle(element);
    const inert = element.closest(":disabled, [aria-disabled=true], .spoken, noscript");
    if (walker.currentNode.data.trim() === "" || inert || !element.checkVisibility({ visibilityProperty: true })) continue;
    const svg = element.closest("svg");
    const box = svg ? element.parentElement.querySelector("rect") : null;
    const ground = box ? rgba(getComputedStyle(box).fill) : behind(element);
    const ink = over(rgba(svg ? style.fill : style.color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) weak.push(`${ratio.toFixed(2)}: ${walker.currentNode.data.trim()}`);
  }
  return weak;
}"""

# Everything that can be used has a name, and ids and headings are in order.
_NAMES = """() => {
  const wrong = [];
  const named = (it) => it.getAttribute("aria-label") || it.getAttribute("aria-labelledby") || it.labels?.length || it.textContent.trim();
  for (const it of document.querySelectorAll("a, button, input:not([hidden]), select, textarea, dialog, summary, [role=region]")) {
    if (!named(it)) wrong.push(`without a name: ${it.outerHTML.slice(0, 120)}`);
  }
  for (const it of document.querySelectorAll("input:not([hidden]), select")) if (!it.labels.length) wrong.push(`without a label: ${it.id}`);
  for (const it of document.querySelectorAll("svg, img")) if (!it.closest("[aria-hidden=true]") && !it.getAttribute("alt")) wrong.push(`an unnamed picture: ${it.outerHTML.slice(0, 80)}`);
  const ids = [...document.querySelectorAll("[id]")].map((it) => it.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => wrong.push(`twice the id ${id}`));
  for (const it of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    const of = `${it.getAttribute("aria-labelledby") ?? ""} ${it.getAttribute("aria-describedby") ?? ""}`.trim().split(/\\s+/);
    for (const id of of) if (!document.getElementById(id)) wrong.push(`refers to ${id}, which is not there`);
  }
  const first = document.querySelectorAll("h1");
  if (first.length !== 1) wrong.push(`${first.length} first headings`);
  if (!document.documentElement.lang) wrong.push("no language");
  if (!document.querySelector("main") || !document.title) wrong.push("no main part or no title");
  return wrong;
}"""


def accessible(page):
    wrong = page.evaluate(_NAMES)
    assert wrong == [], wrong
    weak = page.evaluate(_CONTRAST)
    assert weak == [], f"too little contrast: {weak}"


def fits(page):
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, f"{wide} px wide in a window of {window} px"


def still(page):
    moving = page.evaluate("document.getAnimations().filter((it) => it.playState === 'running').length")
    assert moving == 0, f"{moving} things move"
