//! Everything that is in a database, to look for what must not be there.

use std::path::Path;

use super::database::{connect, of};

/// Every value in the tables of a folder's database, with where it is.
pub async fn values(folder: &Path) -> Vec<(String, String)> {
    const COLUMNS: &str =
        "SELECT table_name::text, quote_ident(column_name), data_type = 'bytea' FROM information_schema.columns
                           WHERE table_schema = 'public'";
    let url = of(folder).expect("a database");
    let (client, _connection) = connect(&url).await;
    let mut values = Vec::new();
    for column in client.query(COLUMNS, &[]).await.expect("columns") {
        let (table, column, bytes): (String, String, bool) = (column.get(0), column.get(1), column.get(2));
        let text = if bytes { format!("encode({column}, 'escape')") } else { format!("{column}::text") };
        let rows = client.query(&format!("SELECT {text} FROM {table} WHERE {column} IS NOT NULL"), &[]).await;
        let place = format!("{table}.{column}");
        values.extend(rows.expect("values").iter().map(|r| (place.clone(), r.get(0))));
    }
    values
}
