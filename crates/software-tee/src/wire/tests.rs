use super::*;

#[test]
fn hex_goes_there_and_back_and_refuses_the_rest() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
    assert_eq!(from_hex("0aFF"), Some(vec![0x0a, 0xff]));
    for bad in ["0", "0g", "0x00", " 00", "é0"] {
        assert_eq!(from_hex(bad), None, "{bad}");
    }
    assert_eq!(from_hex_array::<2>("0001"), Some([0, 1]));
    assert_eq!(from_hex_array::<2>("000102"), None);
}

#[test]
fn lines_are_bounded() {
    let mut stream: &[u8] = b"one\n\ntwo\nrest";
    assert_eq!(read_line(&mut stream, 3).unwrap(), Some(b"one".to_vec()));
    assert_eq!(read_line(&mut stream, 3).unwrap(), Some(vec![]));
    assert_eq!(read_line(&mut stream, 3).unwrap(), Some(b"two".to_vec()));
    assert_eq!(read_line(&mut stream, 8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(read_line(&mut stream, 8).unwrap(), None);

    let mut long: &[u8] = &[b'x'; 100];
    assert_eq!(read_line(&mut long, 99).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn kinds_have_names() {
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(Kind::parse("software"), None);
}
