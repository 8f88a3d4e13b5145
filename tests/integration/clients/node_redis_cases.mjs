// What applications do with node-redis in RESP3: `node node_redis_cases.mjs PORT [PART]` runs it against whatever listens
// there. The server must send keyspace notifications (notify-keyspace-events KEA) and must not be a cluster.
import { randomBytes } from 'node:crypto';
import {
  BasicClientSideCache, RESP_TYPES, createClient, createClientPool, createCluster, defineScript,
} from 'redis';
import { PATIENCE, assert, equal, eventually, fails, port, run, sleep, test } from './cases.mjs';

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const socket = { port, host: '127.0.0.1', reconnectStrategy: 20 };
const plain = (reply) => JSON.parse(JSON.stringify(reply)); // without the null prototypes of RESP3's maps

// A case with clients that are ended when it is over: `open({...})` connects one more.
function withClients(name, act) {
  test(name, async () => {
    const clients = [];
    const open = async (options = {}) => {
      const client = createClient({ RESP: 3, unstableResp3: true, socket, ...options });
      client.on('error', () => {}); // what matters is what the commands answer
      clients.push(client);
      return client.connect();
    };
    try {
      await act(await open(), open);
    } finally {
      for (const client of clients) if (client.isOpen) client.destroy();
    }
  });
}

async function collect(iterator) {
  const got = [];
  for await (const batch of iterator) got.push(...batch);
  return got;
}

withClients('everyday commands and the types of RESP3', async (redis) => {
  equal(await redis.set('nr:cache', 'page', { expiration: { type: 'EX', value: 100 } }), 'OK');
  assert.ok((await redis.ttl('nr:cache')) > 90);
  equal(await redis.set('nr:cache', 'other', { condition: 'NX' }), null);
  equal(await redis.getEx('nr:cache', { type: 'PX', value: 50_000 }), 'page');
  equal(await redis.hSet('nr:session', { user: '7', name: 'Zoë' }), 2);
  equal(plain(await redis.hGetAll('nr:session')), { user: '7', name: 'Zoë' });
  equal([await redis.incr('nr:counter'), await redis.incrBy('nr:counter', 5)], [1, 6]);
  equal(await redis.incrByFloat('nr:float', 0.5), '0.5');
  await redis.zAdd('nr:board', [{ score: 3, value: 'ann' }, { score: 1.5, value: 'bob' }]);
  equal(await redis.zScore('nr:board', 'bob'), 1.5); // a double, where RESP2 has a string
  equal(await redis.zRangeWithScores('nr:board', 0, -1), [{ value: 'bob', score: 1.5 }, { value: 'ann', score: 3 }]);
  equal(await redis.zmScore('nr:board', ['ann', 'nobody']), [3, null]);
  equal(await redis.sendCommand(['ZADD', 'nr:board', 'INCR', '1', 'ann']), 4);
  equal(await redis.zPopMax('nr:board'), { value: 'ann', score: 4 });
  await redis.sAdd('nr:tags', ['a', 'b']);
  equal((await redis.sMembers('nr:tags')).sort(), ['a', 'b']);
  equal(await redis.sPop('nr:nothing'), null);
  equal(await redis.mGet(['nr:cache', 'nr:none']), ['page', null]);
  await redis.rPush('nr:list', ['1', '2', '3', '4']);
  equal([await redis.lPop('nr:list'), await redis.rPopCount('nr:list', 2)], ['1', ['4', '3']]);
  await redis.geoAdd('nr:geo', { longitude: 13.4, latitude: 52.5, member: 'berlin' });
  assert.equal(typeof Number((await redis.geoPos('nr:geo', 'berlin'))[0].longitude), 'number');
  const raw = redis.withTypeMapping({ [RESP_TYPES.MAP]: Map, [RESP_TYPES.SET]: Set });
  assert.ok((await raw.hGetAll('nr:session')) instanceof Map);
  assert.ok((await raw.sMembers('nr:tags')) instanceof Set);
});

withClients('one client pipelines by itself', async (redis) => {
  const numbers = Array.from({ length: 2000 }, (_, number) => number);
  await Promise.all(numbers.map((number) => redis.set(`nr:auto:${number}`, String(number))));
  equal(await Promise.all(numbers.map((number) => redis.get(`nr:auto:${number}`))), numbers.map(String));
  const [one, two] = await Promise.allSettled([redis.incr('nr:cache:none'), redis.lPush('nr:cache:none', 'x')]);
  equal(one.value, 1);
  assert.match(two.reason.message, /^WRONGTYPE/);
  equal(await redis.multi().set('nr:pipe', '1').get('nr:pipe').execAsPipeline(), ['OK', '1']);
});

withClients('transactions', async (redis) => {
  equal(await redis.multi().set('nr:tx', '1').incr('nr:tx').hSet('nr:tx:h', 'f', 'v').hGetAll('nr:tx:h').exec().then(plain),
    ['OK', 2, 1, { f: 'v' }]);
  const error = await fails(redis.multi().rPush('nr:tx:l', '1').incr('nr:tx:l').lLen('nr:tx:l').exec(),
    'commands failed', 'MultiErrorReply');
  equal([error.errorIndexes, error.replies[0], error.replies[2]], [[1], 1, 1]);
  assert.match(error.replies[1].message, /^WRONGTYPE/);
  await fails(redis.multi().set('nr:tx', 'never').addCommand(['SET', 'nr:tx']).exec(), 'wrong number of arguments',
    'SimpleError');
  equal(await redis.get('nr:tx'), '2');
});

withClients('WATCH without lost updates', async (redis, open) => {
  let broken = 0;
  await Promise.all(Array.from({ length: 6 }, async () => {
    const mine = await open();
    for (let done = 0; done < 40; ) {
      await mine.watch('nr:watched');
      const now = Number(await mine.get('nr:watched'));
      try {
        await mine.multi().set('nr:watched', String(now + 1)).exec();
        done += 1;
      } catch (error) {
        equal(error.constructor.name, 'WatchError');
        broken += 1;
      }
    }
  }));
  equal(await redis.get('nr:watched'), '240');
  assert.ok(broken > 0, 'no two clients ever met: nothing was shown');
  await redis.watch(['nr:watched', 'nr:else']);
  equal(await redis.unwatch(), 'OK');
});

withClients('publish and subscribe beside other commands', async (redis, open) => {
  const sub = await open();
  const got = [];
  const listen = (text, channel) => got.push([channel, text]);
  await sub.subscribe(['nr:news', 'nr:other'], listen);
  await sub.pSubscribe('nr:n*', listen);
  equal(await redis.publish('nr:news', 'hello'), 2);
  await eventually(() => got.length === 2, 'two messages');
  equal(got.splice(0), [['nr:news', 'hello'], ['nr:news', 'hello']]);
  equal(await sub.set('nr:while', 'subscribed'), 'OK'); // RESP3 has room for both
  await sub.pUnsubscribe('nr:n*');
  const lots = Array.from({ length: 300 }, (_, number) => String(number));
  const [reads] = await Promise.all([
    Promise.all(lots.map(() => sub.get('nr:while'))), Promise.all(lots.map((text) => redis.publish('nr:news', text)))]);
  await eventually(() => got.length === 300, 'three hundred messages');
  equal(got.splice(0), lots.map((text) => ['nr:news', text]));
  assert.ok(reads.every((value) => value === 'subscribed'));
  await redis.multi().set('nr:p', '1').publish('nr:other', 'from a transaction').exec();
  await eventually(() => got.length === 1, 'a message');
  await sub.publish('nr:other', 'to itself');
  await eventually(() => got.length === 2, 'its own message');
  await sub.unsubscribe();
  equal(await redis.publish('nr:news', 'nobody hears'), 0);
  equal(plain(await redis.pubSubNumSub(['nr:news'])), { 'nr:news': 0 });
});

withClients('sharded channels', async (redis, open) => {
  const sub = await open();
  const got = [];
  await sub.sSubscribe('nr:shard', (text, channel) => got.push([channel, text]));
  equal(await redis.sPublish('nr:shard', 'one'), 1);
  equal(await redis.publish('nr:shard', 'not for shards'), 0);
  await eventually(() => got.length === 1, 'a message');
  equal(got, [['nr:shard', 'one']]);
  await sub.sUnsubscribe('nr:shard');
  equal(await redis.sPublish('nr:shard', 'nobody hears'), 0);
});

withClients('keyspace notifications', async (redis, open) => {
  const sub = await open();
  const got = [];
  await sub.pSubscribe('__keyspace@0__:nr:event:*', (event, channel) => got.push([channel.slice(15), event]));
  await redis.set('nr:event:1', 'x');
  await redis.sAdd('nr:event:2', 'x');
  await redis.del('nr:event:1');
  await redis.pSetEx('nr:event:3', 20, 'x');
  await eventually(() => got.some(([, event]) => event === 'expired'), 'the expiry is told');
  equal(got, [['nr:event:1', 'set'], ['nr:event:2', 'sadd'], ['nr:event:1', 'del'], ['nr:event:3', 'set'],
    ['nr:event:3', 'expire'], ['nr:event:3', 'expired']]);
});

withClients('subscriptions and names survive a lost connection', async (redis, open) => {
  const sub = await open({ name: 'nr-lost' });
  const got = [];
  await sub.subscribe('nr:lost', (text) => got.push(text));
  const id = await sub.clientId();
  equal(await redis.clientKill({ filter: 'ID', id }), 1);
  await eventually(async () => (await redis.publish('nr:lost', 'again')) === 1, 'it is subscribed again');
  await eventually(() => got.length > 0, 'a message');
  equal(await sub.clientGetName(), 'nr-lost');
  assert.ok((await sub.clientId()) !== id);
});

withClients('blocking pops', async (redis, open) => {
  const waiter = await open();
  const began = Date.now();
  equal(await waiter.blPop(['nr:b1', 'nr:b2'], 0.3), null);
  assert.ok(Date.now() - began > 250);
  const waitAndThen = async (waiting, act) => {
    await sleep(100); // most likely it is blocked by now; the answer is the same when it is not
    await act();
    return waiting;
  };
  equal(plain(await waitAndThen(waiter.blPop(['nr:b1', 'nr:b2'], 20), () => redis.rPush('nr:b2', 'job'))),
    { key: 'nr:b2', element: 'job' });
  equal(plain(await waitAndThen(waiter.brPop('nr:b1', 0), () => redis.rPush('nr:b1', ['a', 'b']))),
    { key: 'nr:b1', element: 'b' });
  equal(await waiter.blMove('nr:b1', 'nr:done', 'LEFT', 'RIGHT', 1), 'a');
  equal(await waiter.brPopLPush('nr:b1', 'nr:done', 0.05), null);
  equal(await waiter.blmPop(1, 'nr:done', 'LEFT', { COUNT: 5 }), ['nr:done', ['a']]);
  equal(plain(await waitAndThen(waiter.bzPopMin('nr:bz', 20), () => redis.zAdd('nr:bz', { score: 7.5, value: 'late' }))),
    { key: 'nr:bz', value: 'late', score: 7.5 });
  equal(await waiter.bzmPop(0.05, 'nr:bz', 'MAX'), null);
  let answer;
  waiter.xRead({ key: 'nr:bx', id: '$' }, { BLOCK: 20_000 }).then((reply) => { answer = plain(reply); });
  await eventually(async () => (await redis.xAdd('nr:bx', '*', { n: '1' })) && answer, 'the entry is read');
  equal(answer['nr:bx'][0][1], ['n', '1']); // a map, as it came
  equal(await waiter.xRead({ key: 'nr:bx', id: '$' }, { BLOCK: 50 }), null);
});

test('a pool of clients, and a queue of jobs', async () => {
  const pool = createClientPool({ RESP: 3, socket }, { minimum: 1, maximum: 8 });
  pool.on('error', () => {});
  await pool.connect();
  const done = [];
  const workers = Array.from({ length: 4 }, async () => {
    for (;;) {
      const job = (await pool.blPop('nr:jobs', 10))?.element;
      if (job === 'stop' || job === undefined) return job;
      done.push(Number(job));
    }
  });
  try {
    for (let number = 0; number < 400; number += 1) await pool.rPush('nr:jobs', String(number));
    await eventually(() => done.length === 400, 'all jobs are done');
    await pool.rPush('nr:jobs', ['stop', 'stop', 'stop', 'stop']);
    equal(await Promise.all(workers), ['stop', 'stop', 'stop', 'stop']);
    equal(done.sort((a, b) => a - b), Array.from({ length: 400 }, (_, number) => number));
  } finally {
    pool.destroy();
    await Promise.allSettled(workers);
  }
});

withClients('streams with groups', async (redis) => {
  const ids = [];
  for (let number = 0; number < 10; number += 1) ids.push(await redis.xAdd('nr:stream', '*', { n: String(number) }));
  equal(await redis.xGroupCreate('nr:stream', 'workers', '0'), 'OK');
  await fails(redis.xGroupCreate('nr:stream', 'workers', '0'), 'BUSYGROUP', 'SimpleError');
  const answer = await redis.xReadGroup('workers', 'ann', { key: 'nr:stream', id: '>' }, { COUNT: 4 });
  equal(ids.slice(0, 4).every((id) => JSON.stringify(plain(answer)).includes(id)), true);
  equal(await redis.xAck('nr:stream', 'workers', ids.slice(0, 2)), 2);
  const pending = plain(await redis.xPending('nr:stream', 'workers'));
  equal([pending.pending, pending.firstId, pending.lastId], [2, ids[2], ids[3]]);
  equal((await redis.xPendingRange('nr:stream', 'workers', '-', '+', 10)).map((row) => row.id), ids.slice(2, 4));
  const claimed = plain(await redis.xAutoClaim('nr:stream', 'workers', 'bob', 0, '0', { COUNT: 1 }));
  equal([claimed.nextId, claimed.messages.map((entry) => entry.id)], [ids[3], [ids[2]]]);
  equal(await redis.xClaimJustId('nr:stream', 'workers', 'bob', 0, ids[3]), [ids[3]]);
  const [group] = plain(await redis.xInfoGroups('nr:stream'));
  equal([group.name, group.consumers, group.pending, group['last-delivered-id']], ['workers', 2, 2, ids[3]]);
  equal(plain(await redis.xInfoStream('nr:stream')).length, 10);
  equal((await redis.xRange('nr:stream', '-', '+', { COUNT: 2 })).map((entry) => entry.id), ids.slice(0, 2));
  await fails(redis.xReadGroup('nobody', 'ann', { key: 'nr:stream', id: '>' }), 'NOGROUP', 'SimpleError');
});

const limited = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: "local n = redis.call('INCRBY', KEYS[1], ARGV[1]) if n > tonumber(ARGV[2]) then return {n, 'over'} end "
    + "return {n, 'fine'}",
  parseCommand(parser, key, by, most) {
    parser.pushKey(key);
    parser.push(String(by), String(most));
  },
  transformReply: (reply) => reply,
});

withClients('scripts', async (redis, open) => {
  const scripted = await open({ scripts: { limited } });
  equal(await scripted.limited('nr:rate', 2, 3), [2, 'fine']);
  equal(await scripted.limited('nr:rate', 2, 3), [4, 'over']);
  equal(await redis.scriptFlush(), 'OK');
  equal(await scripted.limited('nr:rate', 1, 9), [5, 'fine']); // EVALSHA, NOSCRIPT, EVAL
  equal(await scripted.multi().set('nr:rate', '0').limited('nr:rate', 7, 9).exec(), ['OK', [7, 'fine']]);
  await fails(redis.evalSha('0'.repeat(40)), 'NOSCRIPT', 'SimpleError');
  equal(await redis.eval('return {KEYS[1], ARGV[1], 3, false}', { keys: ['nr:k'], arguments: ['a'] }), ['nr:k', 'a', 3, null]);
  equal(plain(await redis.eval("redis.setresp(3) redis.call('HSET', KEYS[1], 'f', 'v') return redis.call('HGETALL', KEYS[1])",
    { keys: ['nr:script:h'] })), { f: 'v' });
  await fails(redis.eval("redis.call('SET', KEYS[1], 'kept') return redis.error_reply('MINE on purpose')", { keys: ['nr:kept'] }),
    'MINE on purpose', 'SimpleError');
  equal(await redis.evalRo("return redis.call('GET', KEYS[1])", { keys: ['nr:kept'] }), 'kept');
  const sha = await redis.scriptLoad('return ARGV[1]');
  equal(await redis.scriptExists([sha, '0'.repeat(40)]), [1, 0]);
});

withClients('functions', async (redis, open) => {
  const code = "#!lua name=nrlib\nredis.register_function('nrpush', function(keys, args) "
    + "return redis.call('RPUSH', keys[1], unpack(args)) end)";
  equal(await redis.functionLoad(code), 'nrlib');
  await fails(redis.functionLoad(code), 'already exists');
  equal(await redis.functionLoad(code, { REPLACE: true }), 'nrlib');
  equal(await redis.fCall('nrpush', { keys: ['nr:fun'], arguments: ['a', 'b'] }), 2);
  const push = {
    NUMBER_OF_KEYS: 1,
    parseCommand(parser, key, value) {
      parser.pushKey(key);
      parser.push(value);
    },
    transformReply: (reply) => reply,
  };
  const typed = await open({ functions: { nrlib: { nrpush: push } } });
  equal(await typed.nrlib.nrpush('nr:fun', 'c'), 3);
  equal(plain(await redis.functionList({ LIBRARYNAME: 'nrlib' }))[0].library_name, 'nrlib');
  equal(await redis.functionDelete('nrlib'), 'OK');
  await fails(redis.fCall('nrpush', { keys: ['nr:fun'], arguments: ['a'] }), 'Function not found', 'SimpleError');
});

withClients('locks', async (redis, open) => {
  const release = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";
  let inside = 0;
  let total = 0;
  await Promise.all(Array.from({ length: 5 }, async (_, worker) => {
    const mine = await open();
    const token = `token${worker}`;
    for (let round = 0; round < 10; round += 1) {
      const take = () => mine.set('nr:lock', token, { condition: 'NX', expiration: { type: 'PX', value: PATIENCE } });
      await eventually(take, 'the lock is free');
      inside += 1;
      equal(inside, 1);
      await sleep(1);
      total += 1;
      inside -= 1;
      equal(await mine.eval(release, { keys: ['nr:lock'], arguments: [token] }), 1);
    }
  }));
  equal(total, 50);
});

withClients('scan iterators', async (redis) => {
  const names = Array.from({ length: 1500 }, (_, number) => `nr:scan:${number}`);
  await redis.mSet(names.map((name) => [name, 'x']));
  equal([...new Set(await collect(redis.scanIterator({ MATCH: 'nr:scan:*', COUNT: 100 })))].sort(), [...names].sort());
  await redis.hSet('nr:bighash', Object.fromEntries(names.map((name, number) => [name, String(number)])));
  equal((await collect(redis.hScanIterator('nr:bighash'))).length, 1500);
  await redis.sAdd('nr:bigset', names);
  equal(new Set(await collect(redis.sScanIterator('nr:bigset'))).size, 1500);
  await redis.zAdd('nr:bigzset', names.map((value, score) => ({ value, score })));
  equal((await collect(redis.zScanIterator('nr:bigzset'))).length, 1500);
});

withClients('big and binary values', async (redis) => {
  const bytes = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const big = randomBytes(8 << 20);
  await redis.set(everyByte, big);
  assert.ok(big.equals(await bytes.get(everyByte)));
  await redis.hSet('nr:binary', everyByte, '\r\n$-1\r\n');
  equal(await redis.hGet('nr:binary', everyByte), '\r\n$-1\r\n');
  equal(await redis.restore('nr:restored', 0, await bytes.dump('nr:binary')), 'OK');
  await redis.del(everyByte);
});

withClients('databases', async (redis, open) => {
  const eight = await open({ database: 8 });
  await eight.set('nr:db', 'eight');
  equal(await redis.get('nr:db'), null);
  await redis.select(8);
  equal(await redis.get('nr:db'), 'eight');
  equal(await redis.move('nr:db', 9), 1);
  equal(await redis.swapDb(8, 9), 'OK');
  equal(await eight.get('nr:db'), 'eight');
  equal(await eight.flushDb(), 'OK');
  equal(await eight.dbSize(), 0);
  await fails(redis.select(99), 'DB index is out of range', 'SimpleError');
  equal(await redis.multi().select(10).set('nr:selected', '1').exec(), ['OK', 'OK']);
  equal(await redis.get('nr:selected'), '1');
});

withClients('about the connection', async (redis, open) => {
  const named = await open({ name: 'nr-named' });
  equal(await named.clientGetName(), 'nr-named');
  const id = await named.clientId();
  const info = await named.clientInfo();
  equal([info.id, info.name, info.db], [id, 'nr-named', 0]);
  assert.ok((await redis.clientList()).some((row) => row.id === id && row.name === 'nr-named'));
  const hello = plain(await named.hello(3, { SETNAME: 'nr-hello' }));
  equal([hello.server, hello.proto, hello.mode, hello.role], ['redis', 3, 'standalone', 'master']);
  equal(await named.clientGetName(), 'nr-hello');
  const old = await open({ RESP: 2 });
  await redis.hSet('nr:seen', { user: '7' });
  equal([plain(await old.hGetAll('nr:seen')), plain(await redis.hGetAll('nr:seen'))], [{ user: '7' }, { user: '7' }]);
  equal(await redis.ping(), 'PONG');
  equal(plain(await redis.configGet('maxmemory-policy')), { 'maxmemory-policy': 'noeviction' });
  assert.equal(typeof (await redis.memoryUsage('nr:seen')), 'number');
  await fails(redis.sendCommand(['HELLO', '4']), 'NOPROTO', 'SimpleError');
});

withClients('ends and begins again', async (redis, open) => {
  const other = await open();
  equal(await other.sendCommand(['QUIT']), 'OK');
  await eventually(async () => { // the first try may meet the closed connection
    try {
      return (await other.ping()) === 'PONG';
    } catch {
      return false;
    }
  }, 'a new connection');
  equal(await other.set('nr:after', '1'), 'OK');
  await other.close();
  equal(other.isOpen, false);
  await fails(other.ping(), 'closed', 'ClientClosedError');
  await other.connect();
  equal(await other.get('nr:after'), '1');
});

withClients('errors have their types', async (redis) => {
  await redis.set('nr:string', 'text');
  await fails(redis.lPush('nr:string', '1'), 'WRONGTYPE Operation against a key', 'SimpleError');
  await fails(redis.incr('nr:string'), 'ERR value is not an integer or out of range', 'SimpleError');
  await fails(redis.sendCommand(['NOSUCHCOMMAND', 'x']), "ERR unknown command 'NOSUCHCOMMAND'", 'SimpleError');
  await fails(redis.sendCommand(['GET']), "ERR wrong number of arguments for 'get' command", 'SimpleError');
  await fails(redis.sendCommand(['SET', 'nr:string', 'v', 'MAYBE']), 'ERR syntax error', 'SimpleError');
  await fails(redis.rename('nr:nothing', 'nr:x'), 'ERR no such key', 'SimpleError');
});

withClients('client-side cache', async (redis, open) => {
  const clientSideCache = new BasicClientSideCache({ ttl: 0, maxEntries: 100 });
  const caching = await open({ clientSideCache });
  await redis.set('nr:cached', 'one');
  equal([await caching.get('nr:cached'), await caching.get('nr:cached')], ['one', 'one']);
  equal(clientSideCache.stats().hitCount, 1);
  await redis.set('nr:cached', 'two');
  await eventually(async () => (await caching.get('nr:cached')) === 'two', 'the cached value is thrown away');
});

test('a cluster client is told', async () => {
  const cluster = createCluster({ rootNodes: [{ socket: { ...socket, reconnectStrategy: false } }], RESP: 3 });
  const told = [];
  cluster.on('error', (error) => told.push(error.message));
  await fails(cluster.connect(), 'All the root nodes are unavailable', 'RootNodesUnavailableError');
  equal(told, ['ERR This instance has cluster support disabled']);
});

await run();
