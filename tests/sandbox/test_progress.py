from reward_agent.sandbox.child import ProgressTail


def test_half_written_row_waits_for_its_end(tmp_path):
    path = tmp_path / "progress.csv"
    tail = ProgressTail(path)
    assert tail.read_rows() == []
    path.write_text("step,score\n1,2.5\n2,")
    assert tail.read_rows() == [{"step": 1.0, "score": 2.5}]
    with path.open("a") as file:
        file.write("3.5\n")
    assert tail.read_rows() == [{"step": 2.0, "score": 3.5}]
    assert tail.read_rows() == []


def test_rows_of_an_earlier_slice_are_not_told_again(tmp_path):
    path = tmp_path / "progress.csv"
    path.write_text("step\n1\n2\n")
    tail = ProgressTail(path)
    with path.open("a") as file:
        file.write("3\n")
    assert tail.read_rows() == [{"step": 3.0}]


def test_what_is_no_finite_number_is_left_out(tmp_path):
    path = tmp_path / "progress.csv"
    tail = ProgressTail(path)
    path.write_bytes(b"a,b,c,d\nnan,inf,\xff,1\n1,2,3,4,5,6\n\n,\n")
    assert tail.read_rows() == [{"d": 1.0}, {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, {}]


def test_column_with_a_name_that_is_none_of_ours_is_left_out(tmp_path):
    path = tmp_path / "progress.csv"
    tail = ProgressTail(path)
    path.write_text("step,\x1b[2J,,reward/speed\n1,2,3,4\n")
    assert tail.read_rows() == [{"step": 1.0, "reward/speed": 4.0}]


def test_link_in_place_of_the_file_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("step\n1\n2\n")
    tail = ProgressTail(tmp_path / "progress.csv")
    (tmp_path / "progress.csv").symlink_to(tmp_path / "secret")
    assert tail.read_rows() == []


def test_flood_is_read_in_bounded_pieces(tmp_path):
    path = tmp_path / "progress.csv"
    tail = ProgressTail(path)
    path.write_bytes(b"step\n" + b"1\n" * (1 << 20))
    assert len(tail.read_rows()) < 1 << 19


def test_a_file_that_is_begun_anew_is_read_from_its_start(tmp_path):
    path = tmp_path / "progress.csv"
    path.write_text("total_timesteps,reward/old\n1024,1.0\n2048,2.0\n")
    tail = ProgressTail(path)
    path.write_text("total_timesteps,reward/new\n256,3.0\n")
    assert tail.read_rows() == [{"total_timesteps": 256.0, "reward/new": 3.0}]
