import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.splits.groups import SampleGroup, digest_of, domain_of, group_samples
from dataset_assets.splits.options import SplitOptions


def sample(key, group=None, **columns):
    return SourceSample(key=key, group=group or key, bytes=1, parts=("jpg",), columns=columns)


def names(samples, **options):
    return {
        key: group.name
        for group in group_samples(samples, SplitOptions(**options))
        for key in group.keys
    }


def test_cameras_of_a_recording_are_one_group_when_the_source_says_so():
    samples = [sample("r2/b", "r2"), sample("r1/a", "r1"), sample("r2/a", "r2")]
    assert group_samples(samples, SplitOptions()) == [
        SampleGroup("r1", ("r1/a",), 1, ""),
        SampleGroup("r2", ("r2/a", "r2/b"), 2, ""),
    ]


def test_samples_stand_alone_when_grouped_by_sample():
    assert names([sample("r/a", "r"), sample("r/b", "r")], group_by="sample") == {
        "r/a": "r/a",
        "r/b": "r/b",
    }


def test_column_names_the_group_when_asked():
    samples = [
        sample("a", site=1),
        sample("b", site=1),
        sample("c", site=None),
        sample("d", site=None),
    ]
    assert names(samples, group_by="site") == {"a": "1", "b": "1", "c": "c", "d": "d"}


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://img.cdn.example.com/a.jpg?x=1", "example.com"),
        ("http://EXAMPLE.com.:8080/", "example.com"),
        ("https://user:pw@a.b.example.co.uk/x", "example.co.uk"),
        ("https://example.co.uk/x", "example.co.uk"),
        ("https://co.uk/x", "co.uk"),
        ("https://www.example.com.br", "example.com.br"),
        ("https://a.example.de", "example.de"),
        ("https://img.example.com.tv", "com.tv"),
        ("https://img.example.city.kobe.jp", "city.kobe.jp"),
        ("https://img.example.chiyoda.tokyo.jp", "example.chiyoda.tokyo.jp"),
        ("https://img.example.k12.ca.us", "example.k12.ca.us"),
        ("https://one.github.io", "github.io"),
        ("https://a.b.intranet", "b.intranet"),
        ("http://10.0.0.7/a", "10.0.0.7"),
        ("http://[2001:db8::1]:80/a", "2001:db8::1"),
        ("http://localhost/a", "localhost"),
        ("  https://a.example.com ", "example.com"),
        ("a/b.jpg", ""),
        ("http://[broken/a", ""),
        ("", ""),
    ],
)
def test_domain_is_what_is_registered_when_the_host_looks_like_it(url, domain):
    assert domain_of(url) == domain


def test_one_domain_is_one_group_when_grouped_by_domain():
    samples = [
        sample("a", url="https://x.example.com/1"),
        sample("b", url="http://y.example.com/2"),
        sample("c", url=None),
        sample("d", url="no url"),
    ]
    assert names(samples, group_by="domain") == {
        "a": "example.com",
        "b": "example.com",
        "c": "c",
        "d": "d",
    }


def test_duplicates_join_groups_when_their_content_is_equal():
    samples = [
        sample("a", "g2", sha256="1"),
        sample("b", "g1", sha256="1"),
        sample("c", "g3", sha256="2"),
        sample("d", "g2", sha256="2"),
    ]
    assert set(names(samples).values()) == {"g1"}
    assert names(samples, keep_duplicates_together=False) == {
        "a": "g2",
        "b": "g1",
        "c": "g3",
        "d": "g2",
    }


@pytest.mark.parametrize("column", ["sha256", "sha512", "md5", "digest"])
def test_every_kind_of_digest_tells_duplicates_when_it_is_there(column):
    assert (
        len(
            group_samples(
                [sample("a", **{column: "x"}), sample("b", **{column: "x"})], SplitOptions()
            )
        )
        == 1
    )


def test_digests_do_not_join_when_they_are_absent_or_of_another_kind():
    samples = [
        sample("a", sha256=None),
        sample("b", sha256=None),
        sample("c", sha256=""),
        sample("d", md5="x"),
        sample("e", sha256="x"),
    ]
    assert len(group_samples(samples, SplitOptions())) == 5


def test_digest_of_a_sample_names_its_kind_when_there_is_one():
    assert digest_of(sample("a", md5="5", sha256="2")) == "sha256:2"
    assert digest_of(sample("a")) == ""


def test_stratum_is_the_most_frequent_value_when_a_group_has_several():
    samples = [sample(f"s{index}", "g", label=label) for index, label in enumerate("bbaac")] + [
        sample("x", label=None)
    ]
    assert [
        group.stratum for group in group_samples(samples, SplitOptions(stratify_by="label"))
    ] == ["a", ""]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"group_by": "sight"},
            r"group_by: expected a column of the source \(label, site\), got 'sight'",
        ),
        ({"stratify_by": "lable"}, "stratify_by: expected a column of the source .*, got 'lable'"),
        ({"group_by": "domain"}, "group_by: expected a column of the source .*, got 'url'"),
    ],
)
def test_missing_column_is_named_with_those_there_are_when_options_ask_for_it(options, message):
    with pytest.raises(ConfigurationError, match=message):
        group_samples([sample("a", site=1, label=2)], SplitOptions(**options))


def test_key_is_refused_when_two_samples_have_it():
    with pytest.raises(ConfigurationError, match="expected each key once, got 'a' in 2 samples"):
        group_samples([sample("a"), sample("b"), sample("a")], SplitOptions())


def test_no_samples_are_no_groups_when_the_source_is_empty():
    assert group_samples([], SplitOptions(group_by="site")) == []


SAMPLES = st.dictionaries(
    st.integers(0, 60).map(str),
    st.tuples(
        st.sampled_from("pqrstuvw"),
        st.sampled_from([None, "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(drawn=SAMPLES, random=st.randoms(use_true_random=False))
def test_groups_are_the_connected_samples_when_listed_in_any_order(drawn, random):
    samples = [
        sample(key, group, sha256=digest, label=digest) for key, (group, digest) in drawn.items()
    ]
    shuffled = samples[:]
    random.shuffle(shuffled)
    options = SplitOptions(stratify_by="label")
    groups = group_samples(samples, options)
    assert groups == group_samples(shuffled, options)
    assert sorted(key for group in groups for key in group.keys) == sorted(drawn)
    assert all(group.weight == len(group.keys) for group in groups)
    assert {frozenset(group.keys): group.name for group in groups} == connected(drawn)


def connected(drawn):
    """The same by brute force: sets that grow until none touches another."""
    sets = [{key} for key in drawn]
    touching = True
    while touching:
        touching = False
        for one in sets:
            marks = {
                mark
                for key in one
                for mark in (("g", drawn[key][0]), ("d", drawn[key][1]))
                if mark[1]
            }
            others = [
                other
                for other in sets
                if other is not one
                and any(("g", drawn[k][0]) in marks or ("d", drawn[k][1]) in marks for k in other)
            ]
            if others:
                one.update(*others)
                sets = [kept for kept in sets if kept is one or kept not in others]
                touching = True
                break
    return {frozenset(one): min(drawn[key][0] for key in one) for one in sets}
