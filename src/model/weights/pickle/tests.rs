//! Pickles of every kind, made by hand.

use super::*;

fn refusal(bytes: &[u8]) -> String {
    Pickle::read(bytes).unwrap_err().to_string()
}

#[test]
fn plain_data_are_read() {
    // {"a": [1, -2, 300, 70000, 2**40], "b": (None, True, 0.5)}, as Python's protocol 2 writes it
    let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM\x2c\x01Jp\x11\x01\x00\
                  \x8a\x06\x00\x00\x00\x00\x00\x01eX\x01\x00\x00\x00bq\x03N\x88G?\xe0\x00\x00\x00\x00\x00\x00\
                  \x87q\x04u.rest";
    let pickle = Pickle::read(bytes).unwrap();
    assert_eq!(pickle.length, bytes.len() - 4);
    let Object::Dict(entries) = pickle.root() else { panic!("{pickle:?}") };
    let list = pickle.items(pickle.entry(entries, "a").unwrap()).unwrap();
    let numbers: Vec<i64> =
        list.iter().filter_map(|id| if let Object::Int(n) = pickle.get(*id) { Some(*n) } else { None }).collect();
    assert_eq!(numbers, [1, -2, 300, 70_000, 1 << 40]);
    let tuple = pickle.items(pickle.entry(entries, "b").unwrap()).unwrap();
    assert!(matches!(pickle.get(tuple[0]), Object::None));
    assert!(matches!(pickle.get(tuple[1]), Object::Bool(true)));
    assert!(matches!(pickle.get(tuple[2]), Object::Other));
    assert!(pickle.entry(entries, "c").is_none());
}

#[test]
fn functions_are_refused_by_name() {
    for (bytes, name) in [
        (&b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R."[..], "`posix.system`"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "`builtins.eval`"),
        (b"cbuiltins\ngetattr\n.", "`builtins.getattr`"),
        (b"ctorch\nload\n.", "`torch.load`"),
    ] {
        let message = refusal(bytes);
        assert!(message.contains(name) && message.contains("nothing was executed"), "{message}");
    }
    // INST, OBJ and NEWOBJ, which call as well
    for operation in [b'i', b'o', 0x81, 0x92] {
        assert!(refusal(&[b'(', operation, b'.']).contains("has no place"));
    }
    assert!(refusal(b"ccollections\nOrderedDict\nK\x01R.").contains("without arguments"));
    assert!(refusal(b"K\x01)R.").contains("not a function"));
}

#[test]
fn the_machine_holds_its_stack() {
    for bytes in
        [&b"."[..], b"", b"0.", b"(.", b"K\x01(.", b"t.", b"\x85.", b"a.", b"]K\x01(a.", b"h\x00.", b"(K\x01d."]
    {
        assert!(Pickle::read(bytes).is_err(), "{bytes:?}");
    }
    assert!(refusal(b"X\xff\xff\xff\xffa").contains("ends too early"));
    assert!(refusal(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa").contains("ends too early"));
    assert!(refusal(b"ctorch").contains("ends too early"));
}

#[test]
fn bombs_are_refused() {
    for step in [&b")"[..], b"(", b"N", b"K\x01q\x07", b"K\x01r\x01\x02\x03\x04"] {
        let message = refusal(&step.repeat(MAX_STEPS + 1));
        assert!(message.contains("too many for a state dict"), "{message}");
    }
    // a list that holds itself is no endless work
    Pickle::read(b"]q\x00h\x00a.").unwrap();
}
