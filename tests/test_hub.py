"""Models on the hub: what is in the cache, and what is fetched."""

import json
import shutil
from fnmatch import fnmatch
from types import SimpleNamespace

import pytest

from sound_diffusion.errors import ModelError
from sound_diffusion.model.defaults import read_defaults, read_width
from sound_diffusion.model.find import find_model
from sound_diffusion.model.load import load_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tiny_model_folder, tmp_path, monkeypatch):
    """A hub with the model some/hub-id alone, and an empty cache; lists what is downloaded from it."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    local = huggingface_hub.snapshot_download
    cache = tmp_path / "cache" / "models--some--hub-id"
    hub = SimpleNamespace(
        repository=shutil.copytree(tiny_model_folder, tmp_path / "repository"),
        snapshot=cache / "snapshots" / COMMIT,
        downloads=[],
        is_reachable=True,
    )

    def download(hub_id, *, allow_patterns=None, local_files_only=False, **options):
        if not local_files_only:
            if not hub.is_reachable or hub_id != "some/hub-id":
                raise LocalEntryNotFoundError("Got: ConnectError\nPlease check your connection")
            hub.downloads.append(allow_patterns)
            (cache / "refs").mkdir(parents=True, exist_ok=True)
            (cache / "refs" / "main").write_text(COMMIT)
            for path in filter(lambda path: path.is_file(), hub.repository.rglob("*")):
                name = path.relative_to(hub.repository).as_posix()
                if any(fnmatch(name, pattern) for pattern in allow_patterns or ["*"]):
                    (hub.snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, hub.snapshot / name)
        return local(hub_id, allow_patterns=allow_patterns, local_files_only=True, **options)

    def list_files(hub_id, *, revision):
        if not hub.is_reachable:
            raise LocalEntryNotFoundError("Got: ConnectError")
        assert revision == COMMIT
        files = filter(lambda path: path.is_file(), hub.repository.rglob("*"))
        return [path.relative_to(hub.repository).as_posix() for path in files]

    monkeypatch.setattr(huggingface_hub, "list_repo_files", list_files)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return hub


def test_the_first_run_with_a_hub_id_has_the_defaults_of_the_second(hub, tiny_model_folder):
    assert find_model("some/hub-id").name == "some/hub-id"
    assert hub.downloads == []
    first = read_defaults(find_model("some/hub-id").path)
    assert not list(hub.snapshot.rglob("*.safetensors"))
    shutil.copytree(hub.repository, hub.snapshot, dirs_exist_ok=True)
    hub.is_reachable = False
    assert first == read_defaults(find_model("some/hub-id").path) == read_defaults(tiny_model_folder)
    assert read_width(find_model("some/hub-id").path) == 32
    assert len(hub.downloads) == 1


def test_a_sound_encoder_on_the_hub_is_downloaded_with_the_weights(hub):
    read_defaults(find_model("some/hub-id").path)
    shutil.copytree(
        hub.repository, hub.snapshot, ignore=shutil.ignore_patterns("sound_encoder"), dirs_exist_ok=True
    )
    model = load_model("some/hub-id", device="cpu")
    assert model.sound_encoder is not None
    [files] = hub.downloads[1:]
    assert sorted(files) == ["sound_encoder/config.json", "sound_encoder/diffusion_pytorch_model.safetensors"]


def test_a_latent_consistency_model_on_the_hub_is_known_at_once(hub):
    (hub.repository / "sound_diffusion.json").unlink()
    path = hub.repository / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"_class_name": "LCMScheduler"}))
    defaults = read_defaults(find_model("some/hub-id").path)
    assert (defaults.sampler, defaults.steps, defaults.guidance, defaults.height) == ("lcm", 4, 1.0, 64)


def test_a_snapshot_need_not_hold_what_no_one_loads(hub):
    """The hub's library lists what a repository has, and calls a snapshot without all of it incomplete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub._tree_cache import TreeCacheEntry, write_tree_cache
    from huggingface_hub.errors import IncompleteSnapshotError

    before = read_defaults(find_model("some/hub-id").path)
    present = [path.relative_to(hub.snapshot).as_posix() for path in hub.snapshot.rglob("*.json")]
    entries = {
        name: TreeCacheEntry(size=1, blob_id="0" * 40) for name in [*present, "unet/flax_model.msgpack"]
    }
    write_tree_cache(str(hub.snapshot.parents[1]), COMMIT, entries)
    with pytest.raises(IncompleteSnapshotError):
        snapshot_download("some/hub-id", local_files_only=True)
    hub.is_reachable = False
    assert read_defaults(find_model("some/hub-id").path) == before


def test_the_fingerprint_of_a_model_on_the_hub_is_its_commit(hub):
    assert find_model("some/hub-id").fingerprint() is None
    assert hub.downloads == []
    read_defaults(find_model("some/hub-id").path)
    assert find_model("some/hub-id").fingerprint() == COMMIT


def test_a_model_on_the_hub_is_loaded_from_the_cache(hub):
    shutil.copytree(hub.repository, hub.snapshot)
    (hub.snapshot.parents[1] / "refs").mkdir()
    (hub.snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    hub.is_reachable = False
    model = load_model("some/hub-id", device="cpu")
    assert (model.name, model.defaults.steps, model.width) == ("some/hub-id", 4, 32)


def test_weights_are_downloaded_once_and_only_those_that_are_read(hub, caplog):
    """Of the commit whose settings were read, with no other form of them and nothing that is not loaded."""
    for name in ("model.ckpt", "unet/diffusion_pytorch_model.fp16.safetensors", "unet/flax_model.msgpack"):
        (hub.repository / name).write_bytes(b"gigabytes")
    read_defaults(find_model("some/hub-id").path)
    model = load_model("some/hub-id", device="cpu")
    assert model.width == 32
    assert "downloading some/hub-id" in caplog.text
    fetched = [path.relative_to(hub.snapshot).as_posix() for path in hub.snapshot.rglob("*.*")]
    assert not {"model.ckpt", "unet/flax_model.msgpack"} & set(fetched)
    assert [name for name in fetched if "fp16" in name] == []
    hub.is_reachable = False
    load_model("some/hub-id", device="cpu")


def test_a_model_on_the_hub_that_has_a_variant_alone(hub):
    for path in [*hub.repository.rglob("unet/*.safetensors"), *hub.repository.rglob("vae/*.safetensors")]:
        path.rename(path.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert load_model("some/hub-id", device="cpu").width == 32


def test_weights_that_cannot_be_downloaded_are_named_in_one_line(hub):
    read_defaults(find_model("some/hub-id").path)
    hub.is_reachable = False
    with pytest.raises(ModelError, match=r"some/hub-id: not in the hub's cache.*ConnectError") as caught:
        load_model("some/hub-id", device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["some/hub-id", "another/hub-id"])
def test_what_cannot_be_downloaded_is_named_in_one_line(hub, name):
    hub.is_reachable = False
    with pytest.raises(ModelError, match=rf"model {name}: not in the hub's cache.*ConnectError") as caught:
        read_defaults(find_model(name).path)
    assert "\n" not in str(caught.value)
    assert hub.downloads == []


def test_a_repository_of_something_else_is_named(hub):
    (hub.repository / "model_index.json").unlink()
    with pytest.raises(ModelError, match=r"some/hub-id: no model_index.json"):
        read_defaults(find_model("some/hub-id").path)
