import { readFile } from 'node:fs/promises';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [
    {
      name: 'svg',
      enforce: 'pre',
      async load(id) {
        return id.endsWith('.svg')
          ? `export default ${JSON.stringify(await readFile(id, 'utf8'))};`
          : null;
      }
    }
  ],
  test: {
    environment: 'jsdom',
    include: ['tests/**/*.spec.{ts,tsx}'],
    setupFiles: ['tests/browser.ts'],
    // JupyterLab's packages import JSON and styles as a bundler would have it.
    server: { deps: { inline: [/@jupyterlab/, /@jupyter/, /@lumino/] } }
  }
});
