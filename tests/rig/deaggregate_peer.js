// Takes aggregates apart with aws-kinesis-agg (npm): a JSON array of base64 texts comes in, [[key, hash key, base64], ...] of
// each goes out. Its checksum is looked at.
const agg = require(process.argv[2]);
let text = '';
process.stdin.on('data', piece => { text += piece; });
process.stdin.on('end', () => {
  const out = JSON.parse(text).map(data => {
    let parts;
    agg.deaggregateSync({data, partitionKey: 'outer', sequenceNumber: '1'}, true, (fault, records) => {
      if (fault) throw fault;
      parts = records.map(r => [r.partitionKey, r.explicitPartitionKey || null, r.data]);
    });
    return parts;
  });
  console.log(JSON.stringify(out));
});
