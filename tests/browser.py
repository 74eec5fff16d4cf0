"""What a real browser makes of the pictures: ``python tests/browser.py [--screenshots FOLDER] [--site FOLDER]``.

Opens the drawings of `ns.graph` and the pages of `ns.explain` for S8, S1, S2 and an operation with two results in headless
Chromium, and reports labels that overlap, text that is cut, and signs that the fonts lack. Before that it plants one fault of
each kind, and fails where it does not see it. Of a site that `python -m docs` has built (its folder, docs/_build/html) it looks at the
pages with formulas as wide as a laptop, a screen and a telephone show them, for what is cut off or covered. Exits with 0 where all is well, 1 where something was found, 3 where there is no
browser to try.
"""

import shutil
import sys
from pathlib import Path

NONE = 3
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

#: Labels are words of a drawing, its formulas, and the words of a page; what is folded away is not looked at.
LOOK = r"""
() => {
  const found = [];
  const shown = e => e.checkVisibility() && e.getBoundingClientRect().width > 0;
  const name = e => (e.getAttribute("aria-label") || e.textContent).trim().slice(0, 60);
  const drawn = [...document.querySelectorAll("svg text, svg g.formula")].filter(shown);
  const labels = drawn.map(e => ({e, r: e.getBoundingClientRect(), svg: e.closest("svg"), name: name(e)}));

  // Words of the page: each line of each text node.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest("svg, script, style") || !shown(parent)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const r of range.getClientRects())
      if (r.width > 0) labels.push({e: parent, r, svg: null, name: node.textContent.trim().slice(0, 60)});
  }
  for (const e of document.querySelectorAll("svg[role=img]"))
    if (!e.querySelector("text, g.formula") && shown(e)) labels.push({e, r: e.getBoundingClientRect(), svg: null, name: name(e)});

  const order = labels.sort((a, b) => a.r.top - b.r.top);
  for (let i = 0; i < order.length; i++)
    for (let j = i + 1; j < order.length && order[j].r.top < order[i].r.bottom - 2; j++) {
      const a = order[i].r, b = order[j].r;
      if (order[i].e.contains(order[j].e) && order[i].e !== order[j].e) continue;
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1.5 && down > 2.5) found.push(`overlap: "${order[i].name}" and "${order[j].name}"`);
    }

  const beyond = (r, o) => r.left < o.left - 1 || r.right > o.right + 1 || r.top < o.top - 1 || r.bottom > o.bottom + 1;
  for (const {e, r, svg, name} of labels) {
    if (svg && beyond(r, svg.getBoundingClientRect())) found.push(`cut: "${name}" leaves its drawing`);
    for (const box of svg ? svg.querySelectorAll("rect") : []) {
      const b = box.getBoundingClientRect();
      const across = Math.min(r.right, b.right) - Math.max(r.left, b.left);
      const down = Math.min(r.bottom, b.bottom) - Math.max(r.top, b.top);
      if (across > 1.5 && down > 2.5 && beyond(r, b)) found.push(`cut: "${name}" crosses the edge of a box`);
    }
    for (let p = e; p && p !== document.body; p = p.parentElement) {
      const style = getComputedStyle(p);
      if ((style.overflowX === "hidden" || style.overflowX === "clip") && !(p instanceof SVGElement)
          && beyond(r, p.getBoundingClientRect()))
        found.push(`cut: "${name}" leaves what holds it`);
    }
  }

  // A sign that no font has is drawn as the box that a code without meaning gets.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 40;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const picture = (c, font) => {
    pen.clearRect(0, 0, 40, 40);
    pen.font = `24px ${font}`;
    pen.fillText(c, 4, 30);
    return pen.getImageData(0, 0, 40, 40).data.join();
  };
  const seen = new Set();
  for (const {e, svg} of labels) {
    if (e instanceof SVGElement && e.tagName !== "text") continue;
    const font = getComputedStyle(e).fontFamily;
    for (const c of e.textContent) {
      if (c.trim() === "" || seen.has(c + font)) continue;
      seen.add(c + font);
      if (["\u{10fffd}", "\uf8f0"].some(none => picture(c, font) === picture(none, font)))
        found.push(`missing: no font has ${c} (U+${c.codePointAt(0).toString(16)})`);
    }
  }
  return found;
}
"""

#: Tables wider than the column they are in, a page wider than its window, and words below the bar at the side.
FITS = r"""
() => {
  const found = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth + 1) found.push(`cut: the page is ${wide} wide in a window of ${innerWidth}`);
  for (const table of document.querySelectorAll("table")) {
    const column = table.parentElement;
    if (column.scrollWidth > column.clientWidth + 1)
      found.push(`cut: a table is ${column.scrollWidth} wide in a column of ${column.clientWidth}: ${table.textContent.trim().slice(0, 30)}`);
  }
  const bar = document.querySelector(".sidebar-drawer"), main = document.querySelector("article");
  if (bar && main && bar.getBoundingClientRect().right > main.getBoundingClientRect().left + 1) found.push("cut: the bar at the side covers the page");
  return found;
}
"""
WIDTHS = (1280, 1440, 390)
PAGES = ("formulas", "documents", "api/functional")
WIDE = '<div style="width:300px;overflow:auto"><table><tr><td style="min-width:900px">wide</td></tr></table></div>'

_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="60" role="img">{}</svg>'
#: One fault of each kind, and how its report begins.
PLANTED = {
    _SVG.format('<text x="5" y="30">one label</text><text x="20" y="34">another</text>'): "overlap",
    _SVG.format('<text x="150" y="30">a label too long for it</text>'): "cut",
    _SVG.format('<rect x="5" y="5" width="40" height="30"/><text x="8" y="25" fill="red">leaves its box</text>'): "cut",
    '<div style="width:60px;overflow:hidden;white-space:nowrap">words that are cut off</div>': "cut",
    '<div>one</div><div style="margin-top:-14px">upon another</div>': "overlap",
    _SVG.format('<text x="5" y="30">a \U0010fffe sign</text>'): "missing",
}
SOUND = _SVG.format('<rect x="2" y="2" width="190" height="50" fill="#eee"/><text x="5" y="30">ŷ, ∇ and Σ fit</text>')


def page(body):
    """A page of HTML."""
    return f'<!DOCTYPE html><html><head><meta charset="utf-8"></head><body style="font-family:sans-serif">{body}</body></html>'


def pictures():
    """The pages to look at, by name."""
    import numpy as np

    import nnscratch as ns
    from nnscratch import functional as F
    from nnscratch.systems import mnist_cnn, regression_3_5_1, worked_2_3_1

    rng = np.random.default_rng(0)
    ns.manual_seed(0)
    cases = {
        "S8": (worked_2_3_1, rng.random((1, 2)), [0], F.cross_entropy),
        "S1": (regression_3_5_1, rng.random((4, 3)), rng.random((4, 1)), F.mse_loss),
        "S2": (mnist_cnn, rng.random((2, 1, 28, 28)), [3, 7], F.cross_entropy),
    }
    pages = {}
    for name, (system, x, target, loss) in cases.items():
        model = system.SYSTEM.model()
        dtype = next(iter(model.parameters())).dtype
        x = ns.tensor(x, dtype=dtype)
        target = target if isinstance(target, list) else ns.tensor(target, dtype=dtype)
        y = loss(model(x), target)
        y.backward()
        for unfold in (None, False):
            graph = ns.graph(y, {"x": x, "loss": y}, unfold=unfold)
            pages[f"graph-{name}{'-folded' if unfold is False else ''}"] = page(graph._repr_html_())
        pages[f"explain-{name}"] = page(ns.explain(y, {"x": x, "loss": y})._repr_html_())
    sincos = ns.op(
        lambda x: (np.sin(x), np.cos(x)),
        name="sincos",
        outputs=("sine", "cosine"),
        formula=r"sine = \sin x, \quad cosine = \cos x",
        derivative=r"g_{sine} \cdot cosine - g_{cosine} \cdot sine",
    )
    sincos.rule("x")(lambda g_sine, g_cosine, sine, cosine: g_sine * cosine - g_cosine * sine)
    sine, cosine = sincos(ns.tensor([0.5, -1.0], requires_grad=True))
    y = (sincos(sine)[1] * cosine).sum()
    pages["graph-several-results"] = page(ns.graph(y, gradients=True)._repr_html_())
    pages["explain-several-results"] = page(ns.explain(y)._repr_html_())
    return pages


def main(arguments):
    """Look at everything; the exit status."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if executable is None or sync_playwright is None:
        missing = "playwright is not installed" if executable else f"none of {', '.join(BROWSERS)} is on the PATH"
        print(f"browser: {missing}; install both to look at the pages", file=sys.stderr)
        return NONE
    folder = Path(arguments[arguments.index("--screenshots") + 1]) if "--screenshots" in arguments else None
    faults = 0
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 1000})

        def look(content):
            tab.set_content(content)
            tab.evaluate("document.querySelectorAll('.nnscratch-graph').forEach(e => e.style.maxHeight = 'none')")
            return tab.evaluate(LOOK)

        for content, kind in PLANTED.items():
            if not any(fault.startswith(kind) for fault in look(page(content))):
                print(f"browser: a planted fault ({kind}) was not seen: {content}")
                faults += 1
        if look(page(SOUND)):
            print(f"browser: faults seen where there are none: {look(page(SOUND))}")
            faults += 1
        tab.set_content(page(WIDE))
        if not tab.evaluate(FITS):
            print("browser: a planted table that is wider than its column was not seen")
            faults += 1
        if "--site" in arguments:
            site = Path(arguments[arguments.index("--site") + 1]).resolve()
            for name in PAGES:
                for width in WIDTHS:
                    tab.set_viewport_size({"width": width, "height": 1000})
                    tab.goto((site / "docs" / f"{name}.html").as_uri())
                    seen = tab.evaluate(FITS)
                    faults += len(seen)
                    print(f"{name}, {width} wide: {len(seen)} faults", *seen, sep="\n  ")
            tab.set_viewport_size({"width": 1200, "height": 1000})
        for name, content in pictures().items():
            seen = look(content)
            faults += len(seen)
            print(f"{name}: {len(seen)} faults", *seen[:20], sep="\n  ")
            for details in range(tab.locator("details").count() if name.startswith("graph") else 0):
                tab.evaluate(f"document.querySelectorAll('details')[{details}].open = true")
            opened = tab.evaluate(LOOK) if name.startswith("graph") else []
            faults += len(opened)
            if opened:
                print(f"{name}, unfolded: {len(opened)} faults", *opened[:20], sep="\n  ")
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                tab.screenshot(path=folder / f"{name}.png", full_page=True)
        browser.close()
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
