"""Rhai with keyword arguments, the language of Percept, for JupyterLab, Pygments and papermill."""


def _jupyter_labextension_paths():
    return [{"src": "labextension", "dest": "percept-jupyter"}]
