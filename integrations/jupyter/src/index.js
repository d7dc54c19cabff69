// The JupyterLab plugin: makes the language known to every editor.

import { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import { rhai } from './rhai.js';

export default {
  id: 'percept-jupyter:language',
  description: 'Rhai with keyword arguments, the language of Percept.',
  autoStart: true,
  requires: [IEditorLanguageRegistry],
  activate: (app, languages) => {
    languages.addLanguage({ name: 'rhai', displayName: 'Rhai', mime: 'text/x-rhai', extensions: ['rhai'], support: rhai() });
  }
};
