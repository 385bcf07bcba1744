//! What is in the database, to look for what must not be there.

use std::collections::BTreeMap;

use crate::database;

/// How many rows every table with a column that names the company has of a company.
pub async fn of_company(url: &str, company: i32) -> BTreeMap<String, i64> {
    let (client, _connection) = database::connect(url).await;
    let sql = "SELECT table_name::text FROM information_schema.columns
               WHERE table_schema = 'public' AND column_name = 'company'";
    let mut rows = BTreeMap::new();
    for table in client.query(sql, &[]).await.expect("the tables") {
        let table: String = table.get(0);
        let sql = format!("SELECT count(*) FROM {table} WHERE company = $1");
        rows.insert(table, client.query_one(&sql, &[&company]).await.expect("a count").get(0));
    }
    rows
}
