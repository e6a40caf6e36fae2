import js from '@eslint/js';
import tseslint from 'typescript-eslint';

// Time and chance come in through a Clock and a seeded random there, so that many of them can run
// in one process under one seed.
const PURE = ['packages/ring', 'packages/capacity', 'packages/partition', 'packages/space-engine'];

const edge = (name, owner) => ({ name, message: `only ${owner} may import ${name}` });
const EDGES = [
  ['nats', 'packages/log'],
  ['ioredis', 'packages/membership'],
  ['hashring', 'packages/ring'],
  ['prom-client', 'packages/metrics'],
  ['hnswlib-node', 'packages/vector-index'],
  ['usearch', 'packages/vector-index'],
];

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      '**/node_modules/**',
      '.engram/**',
      '.cache/**',
      'bench/results/**',
      'bench/peers/.root/**',
    ],
  },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: {
        project: [
          './tsconfig.test.json',
          './packages/*/tsconfig.json',
          './services/*/tsconfig.json',
          './bench/tsconfig.json',
        ],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/ban-ts-comment': [
        'error',
        { 'ts-expect-error': 'allow-with-description' },
      ],
      'no-console': 'error',
      'no-empty': ['error', { allowEmptyCatch: false }],
      eqeqeq: 'error',
    },
  },
  {
    files: ['packages/cli/src/**', 'bench/src/**', 'test/soak/**'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['packages/*/src/**', 'services/*/src/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths: EDGES.map(([name, owner]) => edge(name, owner)) },
      ],
    },
  },
  ...EDGES.map(([, owner]) => ({
    files: [`${owner}/src/**`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: EDGES.filter(([, other]) => other !== owner).map(([name, other]) =>
            edge(name, other),
          ),
        },
      ],
    },
  })),
  {
    files: PURE.map((folder) => `${folder}/src/**`),
    rules: {
      'no-restricted-globals': ['error', 'setTimeout', 'setInterval', 'performance'],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now' },
        { object: 'Math', property: 'random' },
      ],
    },
  },
  {
    files: [
      'infra/**/*.mjs',
      'bench/peers/*.mjs',
      'packages/*/*.mjs',
      '*.js',
      '*.ts',
      'test/**/*.mjs',
    ],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        setTimeout: 'readonly',
        fetch: 'readonly',
        Buffer: 'readonly',
        AbortController: 'readonly',
        AbortSignal: 'readonly',
      },
    },
    rules: { 'no-console': 'off' },
  },
);
