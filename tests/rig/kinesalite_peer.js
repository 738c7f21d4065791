// kinesalite_peer.js MODULE PORT [LEVELDB_FOLDER]: kinesalite on loopback only, which survives clients that go away in
// mid-request and keeps idle connections open longer than Node's five seconds.
const kinesalite = require(process.argv[2]);
process.on('uncaughtException', (e) => {
  if (e.code === 'ECONNRESET' || e.message === 'aborted') return;
  console.error(e);
  process.exit(1);
});
const server = kinesalite({createStreamMs: 50, deleteStreamMs: 50, shardLimit: 1000, path: process.argv[4]});
server.keepAliveTimeout = 65000;
server.listen(+process.argv[3], '127.0.0.1', () => console.log('ready'));
