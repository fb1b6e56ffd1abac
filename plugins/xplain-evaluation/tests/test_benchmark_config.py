"""What a benchmark's file may say, and what is said of what it may not."""

from __future__ import annotations

import math
import os
import random
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch

import xplain
from xplain import audio
from xplain_evaluation.benchmark import Config, Data, Item, Method, run
from xplain_evaluation.benchmark.data import sets
from xplain_evaluation.controls import Chance, Loudness
from xplain_evaluation.event import Event
from xplain_evaluation.planted.planted import planted_clips

HEADER = "path,label,start,end,low,high\n"


def read(home: Path, **change: Any) -> Config:
    table = {
        "models": ["planted:"],
        "explainers": ["saliency"],
        "metrics": ["fidelity"],
        "data": [{"name": "cues", "planted": 1}],
    }
    return Config.read({**table, **change}, home)


def refused(home: Path, **change: Any) -> str:
    with pytest.raises(xplain.XplainError) as error:
        read(home, **change)
    return str(error.value)


def refused_data(home: Path, **change: Any) -> str:
    with pytest.raises(xplain.XplainError) as error:
        Data.read({"name": "cues", **change}, home)
    return str(error.value)


def from_python(**change: Any) -> Config:
    given: dict[str, Any] = {
        "models": ("planted:",),
        "data": (Data("one", (Item(Path("one.wav")),)),),
        "explainers": (Method("saliency", "saliency"),),
    }
    return Config(**{**given, **change})


def names(data: Data) -> list[str]:
    return [item.name for item in data.items]


class TestTypes:
    @pytest.mark.parametrize("value", [3, "fidelity", {"name": "fidelity"}, True])
    @pytest.mark.parametrize(
        "setting", ["models", "explainers", "synthesizers", "metrics", "ratios", "data"]
    )
    def test_what_is_several_is_a_list(self, tmp_path: Path, setting: str, value: object) -> None:
        said = refused(tmp_path, **{setting: value})
        assert f"at $.{setting}: expected `array`" in said

    @pytest.mark.parametrize("setting", ["models", "explainers", "data"])
    def test_what_is_needed_is_asked_for(self, tmp_path: Path, setting: str) -> None:
        table = {"models": ["planted:"], "explainers": ["saliency"], "data": []}
        del table[setting]
        with pytest.raises(xplain.XplainError, match=f"missing required field `{setting}`"):
            Config.read(table, tmp_path)

    @pytest.mark.parametrize(
        ("setting", "value", "asked"),
        [
            ("models", [3], "$.models[0]: expected `str`, got `int`"),
            ("models", [""], "$.models[0]: expected `str` of length >= 1"),
            ("synthesizers", [["stft"]], "$.synthesizers[0]: expected `str | object`, got `array`"),
            ("synthesizers", [""], "$.synthesizers[0]: expected `str` of length >= 1"),
            ("metrics", [3], "$.metrics[0]: expected `str | object`, got `int`"),
            ("explainers", [{"name": 3}], "an explainer is a name, or a table"),
            ("explainers", [{"name": ""}], "an explainer is a name, or a table"),
            ("explainers", [{"name": "lrp", "label": 3}], "label of an explainer 'lrp': expected"),
            ("explainers", [{"name": "lrp", "label": ""}], "label of an explainer 'lrp': expected"),
            (
                "explainers",
                [{"name": "lrp", "epsilon": date(2024, 1, 1)}],
                "epsilon of an explainer 'lrp' is a date or a time, 2024-01-01",
            ),
            ("data", ["clips"], "$.data[0]: expected `object`, got `str`"),
            ("ratios", [], "needs ratios"),
            ("ratios", ["0.1"], "$.ratios[0]: expected `float`, got `str`"),
            ("ratios", [True], "$.ratios[0]: expected `float`, got `bool`"),
            ("ratios", [1.1], "$.ratios[0]: expected `float` <= 1"),
            ("ratios", [-0.1], "$.ratios[0]: expected `float` >= 0"),
            ("ratios", [math.nan], "numbers have to be finite"),
            ("ratios", [0.1, 0.1], "ratios ascend, each only once, not [0.1, 0.1]"),
            ("seed", -1, "$.seed: expected `int` >= 0"),
            ("seed", 2**70, "$.seed: "),
            ("seed", 0.5, "$.seed: expected `int`, got `float`"),
            ("seed", "0", "$.seed: expected `int`, got `str`"),
            ("seed", True, "$.seed: expected `int`, got `bool`"),
            ("draws", 0, "$.draws: expected `int` >= 1"),
            ("draws", [50], "$.draws: expected `int`, got `array`"),
            ("max_batch", "8", "$.max_batch: expected `int`, got `str`"),
            ("max_batch", 0, "$.max_batch: expected `int` >= 1"),
            ("check", "no", "$.check: expected `bool`, got `str`"),
            ("sanity", 1, "$.sanity: expected `bool`, got `int`"),
            ("target", ["label"], "$.target: expected `str`, got `array`"),
            ("target", "labels", "$.target: invalid enum value 'labels'"),
            ("rank_by", 1, "$.rank_by: expected `str`, got `int`"),
            ("rank_by", [], "$.rank_by: expected `str`, got `array`"),
            ("replacement", 0, "$.replacement: expected `str | object`, got `int`"),
            ("baseline", ["mean"], "$.baseline: expected `str | object`, got `array`"),
            ("synthesizers", [{"window": 1}], "a synthesizer is a name, or a table with a name"),
            ("grouping", 8, "$.grouping: expected `str`, got `int`"),
            ("order", False, "$.order: expected `str`, got `bool`"),
            ("device", 0, "$.device: expected `str`, got `int`"),
        ],
    )
    def test_a_wrong_value_is_named_with_what_is_asked(
        self, tmp_path: Path, setting: str, value: object, asked: str
    ) -> None:
        assert asked.lower() in refused(tmp_path, **{setting: value}).lower()

    @pytest.mark.parametrize(
        ("change", "asked"),
        [
            ({"name": 3, "planted": 1}, "[[data]]: at $.name: expected `str`, got `int`"),
            ({"name": "", "planted": 1}, "[[data]]: at $.name: expected `str` of length >= 1"),
            ({"planted": 0}, "the data 'cues': at $.planted: expected `int` >= 1"),
            ({"planted": True}, "the data 'cues': at $.planted: expected `int`, got `bool`"),
            ({"planted": "12"}, "the data 'cues': at $.planted: expected `int`, got `str`"),
            ({"planted": 1, "every": 0}, "$.every: expected `int` >= 1"),
            ({"planted": 1, "every": -1}, "$.every: expected `int` >= 1"),
            ({"planted": 1, "every": 2.0}, "$.every: expected `int`, got `float`"),
            ({"files": "*.wav"}, "$.files: expected `array`, got `str`"),
            ({"files": [3]}, "$.files[0]: expected `str`, got `int`"),
            ({"files": [""]}, "$.files[0]: expected `str` of length >= 1"),
            ({"files": []}, "the data 'cues' has no clips"),
            ({}, "the data 'cues' needs one of files, manifest, planted"),
            ({"files": ["a"], "planted": 1}, "needs one of files, manifest, planted"),
            ({"file": ["a"]}, "the data 'cues' has no setting 'file'; did you mean 'files'"),
            ({"manifest": ["clips.csv"]}, "$.manifest: expected `str`, got `array`"),
            ({"manifest": ""}, "$.manifest: expected `str` of length >= 1"),
            ({"manifest": "m.csv", "where": "x"}, "$.where: expected `object`, got `str`"),
            ({"manifest": "m.csv", "where": {"a": True}}, "$.where[...]: expected `int | float"),
            ({"manifest": "m.csv", "where": {"a": ["b"]}}, "$.where[...]: expected `int | float"),
            ({"planted": 1, "where": {"label": "x"}}, "a where, which chooses rows of a manifest"),
            ({"files": ["*.wav"], "where": {}}, "a where, which chooses rows of a manifest"),
        ],
    )
    def test_a_wrong_value_of_data_is_named_with_the_data(
        self, tmp_path: Path, change: dict[str, Any], asked: str
    ) -> None:
        assert asked in refused_data(tmp_path, **change)

    def test_a_misspelt_setting_is_answered_with_the_nearest(self, tmp_path: Path) -> None:
        assert "no setting 'explainer'; did you mean 'explainers'" in refused(
            tmp_path, explainer=["lrp"]
        )

    def test_the_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "bench.toml").write_text(
            'models = ["planted:"]\nexplainers = ["saliency"]\ncheck = "no"\n'
            '[[data]]\nname = "cues"\nplanted = 1\n'
        )
        with pytest.raises(xplain.XplainError, match=r"bench\.toml: .*\$\.check: expected `bool`"):
            Config.load(tmp_path / "bench.toml")

    def test_python_is_answered_as_a_file_is(self) -> None:
        with pytest.raises(xplain.XplainError, match=r"\$\.seed: expected `int` >= 0"):
            from_python(seed=-1)
        with pytest.raises(xplain.XplainError, match=r"\$\.check: expected `bool`"):
            from_python(check="no")

    def test_whatever_a_file_holds_it_is_a_benchmark_or_an_error_in_one_line(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "a.wav").touch()
        (tmp_path / "m.csv").write_text("path,label\na.wav,dog\n")
        right = """
            models = ["planted:"]
            explainers = ["saliency", {name = "lrp", label = "l", epsilon = 0.1}]
            metrics = ["fidelity", {name = "faithfulness", space = "logit"}]
            synthesizers = ["stft", {name = "stft", label = "short", window = 0.016}]
            ratios = [0, 0.1, 1]
            seed = 0
            draws = 10
            check = true
            target = "label"
            replacement = {name = "zero"}
            [[data]]
            name = "files"
            files = ["*.wav"]
            every = 1
            [[data]]
            name = "rows"
            manifest = "m.csv"
            where = {label = "dog"}
        """
        odd = [
            *(
                "nan",
                "-inf",
                "1e400",
                "9" * 40,
                "-1",
                "true",
                "''",
                "'\\u0000'",
                "[]",
                "{}",
                "[[]]",
            ),
            *("{name = 'lrp'}", "1979-05-27", "07:32:00", "[" * 200 + "]" * 200, "'x'"),
            *(
                "{a = " * 80 + "1" + "}" * 80,
                "{name = {name = 'x'}}",
                "[nan]",
                "0x10",
                "'é'",
                '"\\u0000"',
            ),
        ]
        rng = random.Random(0)
        file, outcomes = tmp_path / "bench.toml", {"benchmark": 0, "refused": 0}
        values = list(
            re.finditer(r"(?<== )[^\n]+|(?<=, )[^,\]]+|(?<=\[)[^,\[\]]+|(?<= )\w+(?= =)", right)
        )
        for number in range(600):
            text = right
            for match in sorted(rng.sample(values, 1 + number % 2), key=lambda m: -m.start()):
                text = text[: match.start()] + rng.choice(odd) + text[match.end() :]
            content = bytearray(text if number % 3 else right, "utf-8")
            if number % 3 == 0:
                for _ in range(rng.randint(1, 4)):
                    place = rng.randrange(len(content))
                    content[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 2))
            file.write_bytes(content)
            try:
                made = Config.load(file)
            except xplain.XplainError as error:
                assert str(error).isprintable(), content
                outcomes["refused"] += 1
            else:
                assert isinstance(made, Config)
                outcomes["benchmark"] += 1
        assert outcomes["benchmark"] > 5 and outcomes["refused"] > 300

    def test_what_is_right_is_kept(self, tmp_path: Path) -> None:
        made = read(
            tmp_path,
            synthesizers=["stft", "waveform"],
            ratios=[0, 0.5, 1],
            seed=0,
            draws=1,
            max_batch=1,
            order="absolute",
            check=True,
            sanity=False,
            rank_by="fidelity",
            target="label",
        )
        assert (made.synthesizers, made.ratios) == (("stft", "waveform"), (0, 0.5, 1))
        assert made.settings == {"max_batch": 1, "order": "absolute"}
        assert (made.check, made.sanity, made.target) == (True, False, "label")


class TestOnce:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"models": ["planted:", "planted:"]}, "two models have the same name, 'planted:'"),
            ({"synthesizers": ["stft", "stft"]}, "two synthesizers have the same name, 'stft'"),
            ({"metrics": ["fidelity", "fidelity"]}, "two metrics have the same name, 'fidelity'"),
            ({"metrics": ["removal", "xplain-evaluation/removal"]}, "same name, 'removal'"),
            ({"data": [{"name": "a", "planted": 1}] * 2}, "two data have the same name, 'a'"),
            ({"explainers": ["lrp", {"name": "saliency", "label": "lrp"}]}, "same name, 'lrp'"),
        ],
    )
    def test_what_results_are_told_apart_by_comes_once(
        self, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        assert message in refused(tmp_path, **change)

    def test_a_synthesizer_with_other_parameters_needs_another_label(self, tmp_path: Path) -> None:
        short = {"name": "stft", "window": 0.016}
        said = refused(tmp_path, synthesizers=["stft", short])
        assert "two synthesizers have the same name, 'stft'" in said and "another label" in said
        config = read(tmp_path, synthesizers=["stft", {**short, "label": "short"}])
        assert [(r.label, r.synthesizer, r.params) for r in config.representations] == [
            ("stft", "stft", {}),
            ("short", "stft", {"window": 0.016}),
        ]

    def test_the_default_synthesizer_comes_once_too(self) -> None:
        with pytest.raises(xplain.XplainError, match="two synthesizers have the same name, ''"):
            from_python(synthesizers=(None, "stft", None))

    def test_one_metric_with_two_parameters_is_two(self, tmp_path: Path) -> None:
        spaces = [{"name": "faithfulness", "space": space} for space in ("logit", "probability")]
        labels = [metric.label for metric in read(tmp_path, metrics=spaces).metrics]
        assert labels[:2] == ["faithfulness(space=logit)", "faithfulness(space=probability)"]


class TestControls:
    @pytest.mark.parametrize("label", ["random", "loudness"])
    def test_their_labels_are_no_others(self, tmp_path: Path, label: str) -> None:
        said = refused(tmp_path, explainers=[{"name": "saliency", "label": label}])
        assert f"the label {label!r} is that of a control" in said
        with pytest.raises(xplain.XplainError, match="give the explainer another label"):
            from_python(explainers=(Method(label, "saliency"),))

    def test_one_is_not_called_as_the_other(self) -> None:
        with pytest.raises(xplain.XplainError, match="the label 'random' is that of a control"):
            from_python(explainers=(Method("random", Loudness()),))

    def test_given_they_are_not_added_again(self) -> None:
        class Quiet(Chance):
            """Chance of another kind."""

        methods = (Method("loudness", Loudness()), Method("lrp", "lrp"), Method("random", Quiet()))
        assert from_python(explainers=methods).explainers == methods

    def test_made_of_another_config_they_are_not_added_again(self) -> None:
        made = from_python()
        assert from_python(explainers=made.explainers).explainers == made.explainers


def test_every_counts_from_the_first_clip(tmp_path: Path) -> None:
    data = Data.read({"name": "cues", "planted": 5, "every": 2}, tmp_path)
    assert names(data) == ["planted-0", "planted-2", "planted-4"]


class TestFiles:
    @staticmethod
    def found(home: Path, *patterns: str) -> list[str]:
        data = Data.read({"name": "d", "files": list(patterns)}, home)
        return [os.path.relpath(str(item.audio), home) for item in data.items]

    def test_patterns_that_overlap_give_a_file_once(self, tmp_path: Path) -> None:
        for name in ("a.wav", "b.wav", "c.wav"):
            (tmp_path / name).touch()
        (tmp_path / "deep").mkdir()
        patterns = ("b.wav", "*.wav", "**/*.wav", "deep/../a.wav", str(tmp_path / "c.wav"))
        assert self.found(tmp_path, *patterns) == ["b.wav", "a.wav", "c.wav"]

    def test_a_name_that_exists_is_no_pattern(self, tmp_path: Path) -> None:
        for name in ("take[1].wav", "take1.wav"):
            (tmp_path / name).touch()
        assert self.found(tmp_path, "take[1].wav") == ["take[1].wav"]
        assert self.found(tmp_path, "take[12].wav") == ["take1.wav"]

    def test_brackets_in_the_folders_name_are_no_pattern(self, tmp_path: Path) -> None:
        home = tmp_path / "clips [2024]"
        home.mkdir()
        (home / "a.wav").touch()
        assert self.found(home, "*.wav") == ["a.wav"]

    def test_a_folder_is_no_recording(self, tmp_path: Path) -> None:
        (tmp_path / "clips").mkdir()
        (tmp_path / "clips" / "a.wav").touch()
        assert self.found(tmp_path, "**") == ["clips/a.wav"]
        said = refused_data(tmp_path, files=["clips"])
        assert "no file 'clips' in" in said and "a pattern: 'clips/*.wav'" in said

    def test_a_name_that_no_file_can_have_is_named(self, tmp_path: Path) -> None:
        assert "no file 'xxx" in refused_data(tmp_path, files=["x" * 1000])

    def test_a_name_that_is_no_text_is_measured_as_others_are(self, tmp_path: Path) -> None:
        (clip,) = planted_clips(1, 0)
        audio.write(tmp_path / "clip.wav", clip.waveform, clip.sample_rate)
        name = os.fsdecode(b"caf\xe9.wav")
        try:
            (tmp_path / "clip.wav").rename(tmp_path / name)
        except OSError:
            pytest.skip("this file system has only names that are text")
        made = read(tmp_path, data=[{"name": "d", "files": ["*.wav"]}], ratios=[0.1], draws=1)
        assert names(made.data[0]) == [name]
        results = run(made, tmp_path / "out")
        assert results.failures == ()
        assert r"caf\udce9.wav" in (tmp_path / "out" / "clips.csv").read_text("utf-8")


class TestManifest:
    @staticmethod
    def items(home: Path, text: str, **change: Any) -> tuple[Item, ...]:
        (home / "m.csv").write_text(text, "utf-8")
        return Data.read({"name": "d", "manifest": "m.csv", **change}, home).items

    def test_what_it_marks_is_read(self, tmp_path: Path) -> None:
        text = HEADER + "a.wav,dog,0,1.5,100,200\nb.wav,,2,3,,\nc.wav,cat,,,,\n"
        assert self.items(tmp_path, text) == (
            Item(tmp_path / "a.wav", "dog", Event(0, 1.5, 100, 200)),
            Item(tmp_path / "b.wav", None, Event(2, 3)),
            Item(tmp_path / "c.wav", "cat", None),
        )

    def test_a_byte_order_mark_is_no_part_of_the_first_column(self, tmp_path: Path) -> None:
        assert self.items(tmp_path, "\ufeffpath\na.wav\n") == (Item(tmp_path / "a.wav"),)

    def test_where_takes_texts_and_numbers(self, tmp_path: Path) -> None:
        text = "path,split,fold\na.wav,test,1\nb.wav,test,2\nc.wav,train,1\n"
        found = self.items(tmp_path, text, where={"split": "test", "fold": 1})
        assert found == (Item(tmp_path / "a.wav"),)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("x.wav,,1,,,", "start without end"),
            ("x.wav,,,1,,", "end without start"),
            ("x.wav,,0,1,100,", "low without high"),
            ("x.wav,,0,1,,100", "high without low"),
            ("x.wav,,,,100,200", "a band without times"),
            ("x.wav,,-1,1,,", "start is -1 s, before the clip"),
            ("x.wav,,1,1,,", "start is 1 and end 1; start has to be below end"),
            ("x.wav,,2,1,,", "start is 2 and end 1; start has to be below end"),
            ("x.wav,,0,1,200,100", "low is 200 and high 100; low has to be below high"),
            ("x.wav,,nan,1,,", "start is 'nan', no finite number"),
            ("x.wav,,0,inf,,", "end is 'inf', no finite number"),
            ("x.wav,,0,1,-inf,1", "low is '-inf', no finite number"),
            ('x.wav,,"0,5",1,,', "start is '0,5', no finite number"),
        ],
    )
    def test_an_event_that_is_none_is_named_with_its_row(
        self, tmp_path: Path, row: str, message: str
    ) -> None:
        said = re.escape(f"m.csv, line 3: x.wav: {message}")
        with pytest.raises(xplain.XplainError, match=said):
            self.items(tmp_path, f"{HEADER}a.wav,,0,1,,\n{row}\n")

    @pytest.mark.parametrize("row", ["x.wav", "x.wav,dog,0,1,100", "x.wav,dog,0,1,1,2,3"])
    def test_a_row_of_another_length_is_named(self, tmp_path: Path, row: str) -> None:
        fields = row.count(",") + 1
        said = rf"m\.csv, line 3: the row has {fields} fields, and there are 6 columns"
        with pytest.raises(xplain.XplainError, match=said):
            self.items(tmp_path, f"{HEADER}a.wav,,,,,\n{row}\n", where={"label": "dog"})

    def test_a_row_without_a_path_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(xplain.XplainError, match=r"m\.csv, line 2: the column path is empty"):
            self.items(tmp_path, f"{HEADER},dog,,,,\n")

    def test_rows_that_are_not_asked_for_may_mark_what_they_like(self, tmp_path: Path) -> None:
        text = f"{HEADER}a.wav,dog,,,,\nb.wav,cat,late,,,\n"
        assert self.items(tmp_path, text, where={"label": "dog"})[0].name == "a.wav"

    def test_one_that_is_no_table_of_clips_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(xplain.XplainError, match=r"m\.csv has no column 'path'"):
            self.items(tmp_path, "")
        with pytest.raises(xplain.XplainError, match=r"m\.csv has no column 'path'"):
            self.items(tmp_path, "path|label\na.wav|dog\n")
        assert self.items(tmp_path, "path;label\na.wav;dog\n") == (Item(tmp_path / "a.wav", "dog"),)
        (tmp_path / "m.csv").write_bytes("path\ncafé.wav\n".encode("latin-1"))
        with pytest.raises(xplain.XplainError, match=r"m\.csv cannot be read.*save it as CSV in U"):
            Data.read({"name": "d", "manifest": "m.csv"}, tmp_path)


def test_same_and_new_speakers_are_two_sets(tmp_path: Path) -> None:
    for name in "abc":
        audio.write(tmp_path / f"{name}.wav", torch.zeros(800), 8000)
    lines = ("path,speaker", "a.wav,anna", "b.wav,ben", "c.wav,cleo")
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    table = {"name": "words", "manifest": "clips.csv", "heard": ["anna", "cleo"]}
    same, new = sets(table, tmp_path)
    assert (same.name, [item.name for item in same.items]) == (
        "words, heard speakers",
        ["a.wav", "c.wav"],
    )
    assert (new.name, [item.speaker for item in new.items]) == ("words, new speakers", ["ben"])
    with pytest.raises(xplain.XplainError, match="no clips of new speakers"):
        list(sets({**table, "heard": ["anna", "ben", "cleo"]}, tmp_path))
