// Rhai with keyword arguments for CodeMirror 6.
//
// The tokenizer follows Rhai's own lexer and Percept's scan for keyword arguments: it keeps a stack of open brackets
// and the last token, so unfinished code is highlighted as well as finished code. `percept_jupyter/lexer.py` is the
// same tokenizer for Pygments; `tests/samples.json` holds both to the same answers.

import { LanguageSupport, StreamLanguage, foldService, matchBrackets, syntaxTree } from '@codemirror/language';
import { tags } from '@lezer/highlight';

const words = list => list.split(' ');

const KEYWORDS = new Map([
  ...words('if else switch do while until loop for continue break return throw try catch').map(w => [w, 'control']),
  ...words('let const fn').map(w => [w, 'declare']),
  ...words('import export as').map(w => [w, 'module']),
  ['private', 'modifier'],
  ['in', 'wordOperator'],
  ...words('true false').map(w => [w, 'bool'])
]);
/** Functions that are part of the language. */
const BUILTINS = new Set(words('Fn call curry debug eval is_def_fn is_def_var is_shared print type_of'));
/** Words that Rhai keeps for later. */
const RESERVED = new Set(
  words(
    'async await case default go goto is match module new nil null package protected public shared spawn static ' +
      'super sync thread use var void with yield'
  )
);

/** What each kind of token is called by themes. */
const KINDS = {
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

const NUMBER =
  /^(?:0[xX][\da-fA-F_]*|0[oO][0-7_]*|0[bB][01_]*|\d[\d_]*(?:\.\d[\d_]*|\.(?![.\w]))?(?:[eE](?=[-+\d])[-+]?[\d_]*)?)/;
const CHARACTER = /^'(?:[^'\\]|''|\\(?:[rnt\\']|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}))'/u;
const ESCAPE = /^(?:\\(?:[rnt\\"]|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|$)|"")/;
/** Symbols that mean something elsewhere and nothing here. */
const WRONG = /^(?:===|!==|\.\.\.|->|<-|\+\+|--|:=|::<|<\||\|>|\?(?![?.])|[~@$#])/;
const OPERATOR = /^(?:(?:\*\*|<<|>>)=?|\.\.=?|=>|\?\?|&&|\|\||[-+*/%&|^<>=!]=|[-+*/%&|^<>=!])/;

// What may stand behind a name; `SKIP` is space and comments.
const SKIP = String.raw`^(?:\s|/\*[^*]*\*/)*`;
const PARENTHESIS = new RegExp(SKIP + String.raw`(?:!\s*)?\(`);
const EQUALS = new RegExp(SKIP + '=(?![=>])');
const COLON = new RegExp(SKIP + ':(?!:)');
const PATH = new RegExp(SKIP + '::');
const ARM = new RegExp(SKIP + String.raw`(?:=>|if\b)`);

const CLOSERS = { '(': ')', '[': ']', '?[': ']', '{': '}', '#{': '}', '${': '}', '|': '|' };
const SHAPES = { '(': 'paren', ')': 'paren', '[': 'square', '?[': 'square', ']': 'square' };

/*
 * The state: `brackets`, those that are open, each with its closer, what it holds (`call`, `names`, `closure`, `map`,
 * `interpolation` or `other`) and the indentation of its line; `text`, the string or comment being read; `last`, the
 * last token: `word`, `operand` (any other that ends an operand) or itself; `fn`, whether a function's name comes.
 */
const startState = () => ({ brackets: [], text: null, last: '', fn: false });
const copyState = state => ({ ...state, brackets: state.brackets.slice(), text: state.text && { ...state.text } });
const top = state => state.brackets[state.brackets.length - 1]?.holds;
const startsOperand = state => state.last !== 'word' && state.last !== 'operand';

function open(stream, state, bracket, holds) {
  state.brackets.push({ closer: CLOSERS[bracket], holds, indent: stream.indentation() });
  state.last = bracket;
}

/** Closes the innermost bracket of this kind, and what was left open inside it. */
function close(state, closer) {
  state.last = 'operand';
  for (let i = state.brackets.length - 1; i >= 0; i--) {
    const bracket = state.brackets[i];
    if (bracket.closer === closer) {
      state.brackets.length = i;
      return bracket.holds;
    }
    if (bracket.holds === 'interpolation') {
      break;
    }
  }
  return null;
}

function blockComment(stream, state) {
  const { doc } = state.text;
  while (!stream.eol()) {
    if (stream.match('/*')) {
      state.text.depth++;
    } else if (stream.match('*/')) {
      if (--state.text.depth === 0) {
        state.text = null;
        break;
      }
    } else {
      stream.next();
    }
  }
  return doc ? 'doc' : 'blockComment';
}

function rawString(stream, state) {
  if (stream.skipTo(state.text.end)) {
    stream.match(state.text.end);
    state.text = null;
  } else {
    stream.skipToEnd();
  }
  return 'string';
}

function string(stream, state) {
  let kind = 'string';
  if (stream.match(ESCAPE)) {
    kind = 'escape';
    if (stream.current() === '\\') {
      return kind; // the string goes on in the next line
    }
  } else if (stream.eat('"')) {
    state.text = null;
  } else if (stream.eat('\\')) {
    stream.next();
    kind = 'invalid';
  } else {
    stream.match(/^[^"\\]+/);
  }
  if (stream.eol()) {
    state.text = null;
  }
  return kind;
}

function template(stream, state) {
  if (stream.match('``') || stream.match('\\${')) {
    return 'escape';
  }
  if (stream.match('${')) {
    state.text = null;
    open(stream, state, '${', 'interpolation');
    return 'interpolation';
  }
  if (stream.eat('`')) {
    state.text = null;
  } else if (!stream.match(/^[^`$\\]+/)) {
    stream.next();
  }
  return 'string';
}

const TEXTS = { blockComment, rawString, string, template };

function word(stream, state, name) {
  const { last } = state;
  const inside = top(state);
  const member = last === '.' || last === '?.';
  const keyword = !member && KEYWORDS.get(name);
  if (keyword) {
    state.last = keyword === 'bool' ? 'operand' : name;
    state.fn = name === 'fn';
    return keyword;
  }
  state.last = 'word';
  if (state.fn) {
    return stream.match(PARENTHESIS, false) ? 'functionDefinition' : 'type';
  }
  if (inside === 'names' || inside === 'closure' || last === 'let' || last === 'const' || last === 'for') {
    return 'definition';
  }
  if (name === '_') {
    state.last = 'operand';
    return stream.match(ARM, false) ? 'wildcard' : 'lastValue';
  }
  if (inside === 'call' && (last === '(' || last === ',') && stream.match(EQUALS, false)) {
    return 'keywordArgument';
  }
  if (inside === 'map' && (last === '#{' || last === ',') && stream.match(COLON, false)) {
    return 'key';
  }
  const called = stream.match(PARENTHESIS, false);
  if (member) {
    return called ? 'method' : 'property';
  }
  if (last === 'as' || stream.match(PATH, false)) {
    return 'namespace';
  }
  if (name === 'this') {
    return 'self';
  }
  if (BUILTINS.has(name)) {
    return 'builtin';
  }
  if (RESERVED.has(name)) {
    return 'reserved';
  }
  return called ? 'function' : 'variable';
}

function bracket(stream, state, symbol) {
  switch (symbol) {
    case '(': {
      const names = state.fn || state.last === 'for' || state.last === 'catch';
      const call = state.last === 'word' || state.last === 'word!';
      state.fn = false;
      open(stream, state, '(', names ? 'names' : call ? 'call' : 'other');
      break;
    }
    case '#{':
      open(stream, state, '#{', 'map');
      break;
    case '{':
    case '[':
    case '?[':
      open(stream, state, symbol, 'other');
      break;
    default:
      if (close(state, symbol) === 'interpolation') {
        state.text = { kind: 'template' };
        return 'interpolation';
      }
  }
  return SHAPES[symbol] ?? 'brace';
}

function token(stream, state) {
  if (state.text) {
    return TEXTS[state.text.kind](stream, state);
  }
  if (stream.eatSpace()) {
    return null;
  }
  const take = pattern => stream.match(pattern) && stream.current();
  let found;

  if (take('//')) {
    const doc = stream.match(/^(?:\/(?!\/)|!)/);
    stream.skipToEnd();
    return doc ? 'doc' : 'lineComment';
  }
  if (take('/*')) {
    state.text = { kind: 'blockComment', depth: 1, doc: Boolean(stream.match(/^\*(?!\*)/)) };
    return blockComment(stream, state);
  }
  if ((found = take(/^[A-Za-z_]\w*/))) {
    return word(stream, state, found);
  }
  if (take(NUMBER)) {
    state.last = 'operand';
    return 'number';
  }
  if ((found = take(/^(?:#+"|["`])/))) {
    state.last = 'operand';
    const hashes = found.slice(0, -1);
    state.text = { kind: hashes ? 'rawString' : found === '`' ? 'template' : 'string', end: `"${hashes}` };
    if (found === '"' && stream.eol()) {
      state.text = null;
    }
    return 'string';
  }
  if (take("'")) {
    state.last = 'operand';
    stream.backUp(1);
    if (take(CHARACTER)) {
      return 'char';
    }
    take(/^'(?:(?:[^'\\]|\\.)*')?/);
    return 'invalid';
  }
  if ((found = take(/^(?:#\{|\?\[|[()[\]{}])/))) {
    return bracket(stream, state, found);
  }
  if (top(state) === 'closure' && take('|')) {
    close(state, '|');
    state.last = '|';
    return 'punctuation';
  }
  if (startsOperand(state) && (found = take(/^\|\|?/))) {
    if (found === '|') {
      open(stream, state, '|', 'closure');
    }
    state.last = '|';
    return 'punctuation';
  }
  if (take(/^!in(?!\w)/)) {
    state.last = 'in';
    return 'wordOperator';
  }
  if (take(WRONG)) {
    state.last = '';
    return 'invalid';
  }
  if ((found = take(OPERATOR))) {
    state.last = found === '!' && state.last === 'word' ? 'word!' : found;
    return 'operator';
  }
  if ((found = take(/^(?:::|\?\.|[.,;:])/))) {
    if (found === ';' && top(state) === 'closure') {
      close(state, '|');
    }
    state.last = found;
    return found.endsWith('.') ? 'dot' : 'punctuation';
  }
  stream.next();
  return 'invalid';
}

/** One step inside the innermost bracket, one more where a chain of methods goes on. */
function indent(state, textAfter, context) {
  if (state.text) {
    return null;
  }
  const innermost = state.brackets.filter(bracket => bracket.holds !== 'closure').pop();
  let columns = 0;
  if (innermost) {
    columns = innermost.indent + (textAfter.startsWith(innermost.closer) ? 0 : context.unit);
  }
  return /^\??\.(?!\.)/.test(textAfter) ? columns + context.unit : columns;
}

export const rhaiLanguage = StreamLanguage.define({
  name: 'rhai',
  startState,
  copyState,
  token,
  blankLine: state => {
    if (state.text?.kind === 'string') {
      state.text = null;
    }
  },
  indent,
  tokenTable: KINDS,
  languageData: {
    commentTokens: { line: '//', block: { open: '/*', close: '*/' } },
    closeBrackets: { brackets: ['(', '[', '{', '"', '`'], before: ')]}:;>,`' },
    indentOnInput: /^\s*(?:[)\]}]|\?\.|\.)$/
  }
});

/** A bracket that is still open at the end of its line folds up to its partner. */
function fold(state, from, to) {
  for (let at = to - 1; at >= from; at--) {
    if (!'([{'.includes(state.sliceDoc(at, at + 1))) {
      continue;
    }
    const kind = syntaxTree(state).resolveInner(at, 1).name;
    const match = /paren|square|brace|interpolation/.test(kind) && matchBrackets(state, at, 1);
    if (match && match.matched && match.end.from > to) {
      return { from: at + 1, to: match.end.from };
    }
  }
  return null;
}

/** The language and what an editor needs to know about it. */
export function rhai() {
  return new LanguageSupport(rhaiLanguage, foldService.of(fold));
}
