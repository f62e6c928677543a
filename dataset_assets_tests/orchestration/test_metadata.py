import dagster as dg
import pyarrow as pa
import pytest

from dataset_assets.orchestration.common import metadata

ATTACK = "<script>alert(1)</script> [x](javascript:alert(1)) | `a`\n[ERROR] forged"


def test_text_is_one_plain_line_when_it_has_controls():
    assert metadata.plain_text("a\nb\tc\x1b[31m\u2028d") == "a b c [31md".replace("md", "m d")
    assert metadata.plain_text(None) == ""
    assert len(metadata.plain_text("x" * 1000)) == metadata.MAX_CELL


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host/a?X-Amz-Signature=abc#f", "https://host/a?…"),
        (
            "could not read http://host/a.jpg?token=1 today",
            "could not read http://host/a.jpg?… today",
        ),
        ("https://host/a.jpg", "https://host/a.jpg"),
        ("http://[broken?x=1", "http://[broken?…"),
    ],
)
def test_url_loses_its_secrets_when_shown(url, shown):
    assert metadata.plain_text(url) == shown


def test_markup_is_shown_as_text_when_it_goes_into_markdown():
    text = metadata.markdown_text(ATTACK, 500)
    assert "<script" not in text
    assert "\n" not in text
    assert "\\[x\\]\\(javascript" in text
    assert "\\|" in text


def test_table_has_plain_cells_and_a_limit_when_rows_are_hostile():
    value = metadata.table(
        {"caption": ATTACK, "width": 3, "rate": 0.5, "none": None} for _ in range(100)
    )
    assert isinstance(value, dg.TableMetadataValue)
    assert len(value.records) == metadata.MAX_TABLE_ROWS
    assert value.records[0].data == {
        "caption": metadata.plain_text(ATTACK),
        "width": 3,
        "rate": 0.5,
        "none": "",
    }
    assert [(column.name, column.type) for column in value.schema.columns] == [
        ("caption", "string"),
        ("width", "int"),
        ("rate", "float"),
        ("none", "string"),
    ]


def test_table_says_none_when_there_are_no_rows():
    assert metadata.table([]).value == "none"


@pytest.mark.parametrize("count", [2, 3, 40, 41, 10_000])
def test_sparkline_shows_at_once_when_there_are_many_shards(count):
    value = metadata.sparkline([index / count for index in range(count)])
    assert len(value.value) < 1000
    assert value.value.startswith("![success, 0.0% to ")


def test_image_is_refused_when_it_would_fill_the_event_log():
    assert metadata.inline_image(b"x" * 100).value.startswith("![samples](data:image/jpeg;base64,")
    with pytest.raises(ValueError, match="10000 bytes"):
        metadata.inline_image(b"x" * 20_000)


def test_columns_are_shown_with_their_types_when_given_a_schema():
    value = metadata.column_schema(
        pa.schema([pa.field("url", pa.string(), nullable=False), ("width", pa.int32())])
    )
    assert [
        (column.name, column.type, column.constraints.nullable) for column in value.schema.columns
    ] == [
        ("url", "string", False),
        ("width", "int32", True),
    ]


def test_share_is_zero_when_there_is_nothing():
    assert (metadata.share(0, 0), metadata.share(1, 3)) == (0.0, 0.3333)


def test_link_is_a_url_when_a_browser_can_open_it():
    assert isinstance(metadata.link("https://host/x"), dg.UrlMetadataValue)
    assert isinstance(metadata.link("/data/x"), dg.PathMetadataValue)
    assert isinstance(metadata.link("s3://bucket/x"), dg.PathMetadataValue)
