import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import hooks from 'eslint-plugin-react-hooks';
import typescript from 'typescript-eslint';

export default typescript.config(
  { ignores: ['lib/', 'node_modules/'] },
  { plugins: { jupyter } },
  { files: ['**/*.mjs', 'src/**', 'tests/**'], ...js.configs.recommended },
  ...jupyter.configs.recommended,
  {
    files: ['src/**', 'tests/**'],
    extends: [...typescript.configs.strictTypeChecked, ...typescript.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { 'react-hooks': hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      'no-console': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { varsIgnorePattern: '^_$', argsIgnorePattern: '^_' }
      ],
      // Signals take the method and its object; jupyter/require-signal-this-arg holds them together.
      '@typescript-eslint/unbound-method': 'off',
      // The whole extension is smaller than the request that would fetch a part of it later.
      'jupyter/prefer-lazy-imports': 'off',
      // Interfaces begin with an I, as in JupyterLab.
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'interface', format: ['PascalCase'], custom: { regex: '^I[A-Z]', match: true } }
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true }
      ]
    }
  },
  { files: ['tests/**/*.ts'], rules: { 'jupyter/no-untranslated-string': 'off' } }
);
