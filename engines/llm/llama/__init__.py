"""The model that writes: a GGUF in llama.cpp, through its low-level calls.

One context with a unified cache: slots are its sequences, and a cell may belong to several of them.

    weights       which file it is
    threads       how many there are, and how they wait for each other
    logs          what llama.cpp says goes to our log
    vocabulary    the file in memory: text to tokens and back
    batch         the arrays that one decode reads
    samplers      how a token is drawn
    context       the cells, and the step
    model         all of it together

Importing this package needs none of what is installed for it; loading a model does.
"""

from engines.digests import require_digest
from engines.llm.llama.threads import let_threads_sleep
from engines.llm.llama.weights import PIN_SETTING, locate, require_library, require_whole
from engines.llm.model import TextLoader, TextModel
from engines.llm.options import LlamaOptions


def load(options: LlamaOptions) -> TextLoader:
    """A loader of the GGUF that `options` name.

    Raises:
        ModelMissing: the file is not there, or is pinned and not all of its model, or what reads it is not installed.
    """
    require_library()
    path = locate(options.model)
    if options.sha256:
        require_whole(path)

    def load_llama() -> TextModel:  # imports llama.cpp on the device thread: health is answered meanwhile
        require_digest(path, options.sha256, PIN_SETTING)
        let_threads_sleep()
        from engines.llm.llama.model import LlamaText

        return LlamaText(path, options)

    return load_llama
