// Runs the language without an editor: `npm test`.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

import { foldable, getIndentation, ensureSyntaxTree, matchBrackets } from '@codemirror/language';
import { EditorState } from '@codemirror/state';
import { highlightTree, tagHighlighter, tags } from '@lezer/highlight';

import { rhai, rhaiLanguage } from '../src/rhai.js';

const here = new URL('.', import.meta.url);
const read = path => readFileSync(new URL(path, here), 'utf8');

// What the samples call a token, and the tag that a theme would see.
const NAMES = {
  lineComment: tags.lineComment,
  blockComment: tags.blockComment,
  doc: tags.docComment,
  control: tags.controlKeyword,
  declare: tags.definitionKeyword,
  module: tags.moduleKeyword,
  modifier: tags.modifier,
  wordOperator: tags.operatorKeyword,
  reserved: tags.keyword,
  bool: tags.bool,
  self: tags.self,
  wildcard: tags.atom,
  lastValue: tags.special(tags.variableName),
  number: tags.number,
  string: tags.string,
  escape: tags.special(tags.string),
  interpolation: tags.special(tags.brace),
  char: tags.character,
  functionDefinition: tags.function(tags.definition(tags.variableName)),
  function: tags.function(tags.variableName),
  method: tags.function(tags.propertyName),
  builtin: tags.standard(tags.variableName),
  definition: tags.definition(tags.variableName),
  variable: tags.variableName,
  property: tags.propertyName,
  key: tags.definition(tags.propertyName),
  keywordArgument: tags.attributeName,
  namespace: tags.namespace,
  type: tags.typeName,
  operator: tags.operator,
  dot: tags.derefOperator,
  punctuation: tags.punctuation,
  paren: tags.paren,
  square: tags.squareBracket,
  brace: tags.brace,
  invalid: tags.invalid
};
const highlighter = tagHighlighter(Object.entries(NAMES).map(([name, tag]) => ({ tag, class: name })));

function spans(code) {
  const found = [];
  highlightTree(rhaiLanguage.parser.parse(code), highlighter, (from, to, name) => found.push([from, to, name]));
  return found;
}

/** The spans are looked for in order; neighbours of one kind may come in one span or several. */
function check(code, expected) {
  const kinds = new Array(code.length).fill('');
  for (const [from, to, name] of spans(code)) {
    kinds.fill(name, from, to);
  }
  let at = 0;
  for (const [text, kind] of expected) {
    for (;;) {
      at = code.indexOf(text, at);
      assert.notEqual(at, -1, `no more ${JSON.stringify(text)} in ${code}`);
      const whole = !/^\w+$/.test(text) || (!/\w/.test(code[at - 1] ?? '') && !/\w/.test(code[at + text.length] ?? ''));
      if (whole) {
        break;
      }
      at++;
    }
    const got = [...new Set(kinds.slice(at, at + text.length))].join(' ');
    assert.equal(got, kind, `${JSON.stringify(text)} at ${at} of ${code}`);
    at += text.length;
  }
}

for (const { code, is } of JSON.parse(read('samples.json'))) {
  test(JSON.stringify(code), () => check(code, is));
}

test('a wrong expectation is noticed', () => {
  assert.throws(() => check('f(a=1)', [['a', 'variable']]));
  assert.throws(() => check('f(a=1)', [['b', 'variable']]));
});

test('no script of the repository has an invalid token', () => {
  const folder = '../../../tests/suite/';
  const scripts = readdirSync(new URL(folder, here)).filter(name => name.endsWith('.rhai'));
  assert.ok(scripts.length > 10);
  for (const path of [...scripts.map(name => folder + name), '../../../scripts/tour.rhai']) {
    const code = read(path);
    const invalid = spans(code).filter(span => span[2] === 'invalid');
    assert.deepEqual(invalid.map(([from, to]) => code.slice(from, to)), [], path);
  }
});

const state = doc => {
  const made = EditorState.create({ doc, extensions: [rhai()] });
  ensureSyntaxTree(made, doc.length);
  return made;
};

test('indentation', () => {
  const doc = 'let x = list.map(|a| {\nb\n});\nshow(\nx\n.y,\n)\n`${\nz\n}`';
  const made = state(doc);
  const lines = [...Array(made.doc.lines).keys()].map(line => getIndentation(made, made.doc.line(line + 1).from));
  assert.deepEqual(lines, [0, 2, 0, 0, 2, 4, 0, 0, 2, 0]);
});

test('folding and matching brackets', () => {
  const doc = 'fn f(a) {\n  [1, "]"]\n}\n// (\nx';
  const made = state(doc);
  assert.deepEqual(foldable(made, 0, 9), { from: 9, to: doc.indexOf('\n}') + 1 });
  assert.equal(foldable(made, made.doc.line(2).from, made.doc.line(2).to), null);
  assert.equal(foldable(made, made.doc.line(4).from, made.doc.line(4).to), null);
  assert.equal(matchBrackets(made, doc.indexOf('['), 1).end.from, doc.indexOf(']\n'));
});

test('comments are known to the editor', () => {
  const [comment] = state('x').languageDataAt('commentTokens', 0);
  assert.deepEqual(comment, { line: '//', block: { open: '/*', close: '*/' } });
});
