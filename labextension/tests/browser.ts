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
  CSS: { escape: (name: string) => name },
  requestIdleCallback: (work: () => void) => setTimeout(work),
  matchMedia: () => ({ matches: false, addEventListener: () => undefined })
});
