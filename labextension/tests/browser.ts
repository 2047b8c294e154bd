/** What JupyterLab's packages look for at import, and jsdom does not have. */
class Missing {
  observe(): void {
    // Nothing has a size in jsdom.
  }
  unobserve(): void {
    // See above.
  }
  disconnect(): void {
    // See above.
  }
}

Object.assign(globalThis, {
  DragEvent: class extends MouseEvent {},
  ResizeObserver: Missing,
  matchMedia: () => ({ matches: false, addEventListener: () => undefined })
});
