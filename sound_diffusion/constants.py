"""The numbers and names that the parts of the program agree on."""

SAMPLE_RATE = 44_100  # samples a second of every sound inside the program
N_ROWS = 77  # rows of an embedding: the tokens of a CLIP prompt, the moments of a sound
SD1_WIDTH = 768  # columns of an embedding of Stable Diffusion 1.x and of the embedded model
LARGEST_SAMPLE = 1e6  # keeps a power spectrum inside float32; sounds stay within [-1, 1]
LARGEST_SEED = 2**63 - 1  # that torch takes
DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", "full", "mixed", "autocast")
RUNTIMES = ("auto", "torch", "onnx")
SEED_MODES = ("increment", "fixed", "random", "ladder", "alternate", "walk", "circle")
SHORTEST_LOOP = 2  # frames
