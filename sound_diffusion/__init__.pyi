from .conditioning import Conditioning as Conditioning
from .conditioning import condition as condition
from .errors import SoundDiffusionError as SoundDiffusionError
from .model.load import load_model as load_model
from .model.model import Model as Model
from .painting import paint as paint
from .painting import paint_batch as paint_batch
from .settings import PaintSettings as PaintSettings
from .sound.audio import load_audio as load_audio
from .sound.audio import stream_audio as stream_audio
from .sound.description import Descriptors as Descriptors
from .sound.description import describe as describe
from .sound.description import describe_whole as describe_whole
from .sound.descriptors import DESCRIPTORS as DESCRIPTORS
from .sound.embeddings import embed as embed
from .sound.embeddings import load_embedding as load_embedding
from .sound.embeddings import scale as scale
from .sound.features import FEATURES as FEATURES
from .sound.features import extract as extract
from .sound.features import extract_at as extract_at

__version__: str
