//! Tasks whose files can't be of one schema.

use super::*;

const PRICE: &str = r#"{"name":"price","type":"int"}"#;

/// Two records, `ask` first; each has a price, and a size or not.
fn quotes(ask_sized: bool, bid_sized: bool) -> String {
    let fields = |sized: bool| match sized {
        true => format!(r#"{PRICE},{{"name":"size","type":"int"}}"#),
        false => PRICE.to_owned(),
    };
    let side = |name: &str, sized: bool| {
        format!(
            r#"{{"name":"{name}","type":{{"type":"record","name":"Of_{name}","fields":[{}]}}}}"#,
            fields(sized)
        )
    };
    let (ask, bid) = (side("ask", ask_sized), side("bid", bid_sized));
    schema_text(&format!("{ask},{bid}"))
}

fn quote(ask_sized: bool, bid_sized: bool) -> Value {
    let side = |sized: bool| match sized {
        true => record([("price", Value::Int(1)), ("size", Value::Int(2))]),
        false => record([("price", Value::Int(1))]),
    };
    record([("ask", side(ask_sized)), ("bid", side(bid_sized))])
}

/// Both give the next id to a column that ends in `size`, and each means another one.
#[test]
fn one_id_of_two_columns_whose_paths_end_alike_is_no_agreement() {
    let world = world("add");
    land(&world, 0, &quotes(false, false), quote(false, false)).unwrap();
    let mut rewinds = 0;
    let (mut a, mut b) = (world.task(), world.task());
    loop {
        put_one(&world, &mut a, 1, &quotes(false, true), quote(false, true)).unwrap();
        put_one(&world, &mut b, 2, &quotes(true, true), quote(true, true)).unwrap();
        let mut pieces = a.stage().unwrap();
        pieces.extend(b.stage().unwrap());
        match commit(&world, &pieces, 1, 3) {
            Ok(_) => break,
            Err(Failure::Rewind(why)) => assert!(why.contains("written again"), "{why}"),
            Err(other) => panic!("{other}"),
        }
        a.discard();
        b.discard();
        rewinds += 1;
        assert!(rewinds < 3, "each time round one more fits");
    }
    assert_eq!(rewinds, 1);
    let [ask, bid] = ["ask.size", "bid.size"].map(|it| column(&world, it).0);
    assert!(bid < ask, "{bid} is what the first of them meant");
    assert_eq!(rows(&world), 3);
}
