// What applications do with ioredis: `node ioredis_cases.mjs PORT [PART]` runs it against whatever listens there.
// The server must send keyspace notifications (notify-keyspace-events KEA) and must not be a cluster.
import { randomBytes } from 'node:crypto';
import Redis from 'ioredis';
import { PATIENCE, assert, equal, eventually, fails, port, run, sleep, test } from './cases.mjs';

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

// A case with clients that are ended when it is over: `open({...})` makes one more.
function withClients(name, act) {
  test(name, async () => {
    const clients = [];
    const open = (options = {}) => {
      const client = new Redis({ port, host: '127.0.0.1', maxRetriesPerRequest: 3, ...options });
      client.on('error', () => {}); // what matters is what the commands answer
      clients.push(client);
      return client;
    };
    try {
      await act(open(), open);
    } finally {
      for (const client of clients) client.disconnect();
    }
  });
}

withClients('everyday commands', async (redis) => {
  equal(await redis.set('io:cache', 'page', 'EX', 100), 'OK');
  assert.ok((await redis.ttl('io:cache')) > 90);
  equal(await redis.set('io:cache', 'other', 'NX'), null);
  equal(await redis.hset('io:session', { user: 7, name: 'Zoë' }), 2);
  equal(await redis.hgetall('io:session'), { user: '7', name: 'Zoë' });
  equal([await redis.incr('io:counter'), await redis.incrby('io:counter', 5)], [1, 6]);
  equal(await redis.incrbyfloat('io:float', 0.5), '0.5');
  await redis.zadd('io:board', 3, 'ann', 1.5, 'bob');
  equal(await redis.zrevrange('io:board', 0, -1, 'WITHSCORES'), ['ann', '3', 'bob', '1.5']);
  equal(await redis.mset(new Map([['io:m1', '1'], ['io:m2', '2']])), 'OK');
  equal(await redis.mget('io:m1', 'io:none', 'io:m2'), ['1', null, '2']);
  await redis.rpush('io:list', 1, 2, 3, 4);
  equal([await redis.lpop('io:list'), await redis.rpop('io:list', 2)], ['1', ['4', '3']]);
  equal(await redis.smembers('io:nothing'), []);
  equal(await redis.call('GETEX', 'io:cache', 'PX', 50_000), 'page');
  assert.ok((await redis.pttl('io:cache')) <= 50_000);
});

withClients('pipelines', async (redis) => {
  const pipeline = redis.pipeline();
  for (let number = 0; number < 1000; number += 1) pipeline.set(`io:pipe:${number}`, number).get(`io:pipe:${number}`);
  const answers = await pipeline.exec();
  equal(answers.length, 2000);
  for (let number = 0; number < 1000; number += 1) {
    equal([answers[2 * number], answers[2 * number + 1]], [[null, 'OK'], [null, String(number)]]);
  }
  const mixed = await redis.pipeline([['set', 'io:text', 'x'], ['incr', 'io:text'], ['get', 'io:text']]).exec();
  equal([mixed[0], mixed[2]], [[null, 'OK'], [null, 'x']]);
  assert.match(mixed[1][0].message, /not an integer/);
});

withClients('automatic pipelines', async (redis, open) => {
  const auto = open({ enableAutoPipelining: true });
  const numbers = Array.from({ length: 500 }, (_, number) => number);
  await Promise.all(numbers.map((number) => auto.set(`io:auto:${number}`, number)));
  equal(await Promise.all(numbers.map((number) => auto.get(`io:auto:${number}`))), numbers.map(String));
  await auto.set('io:auto:text', 'x');
  const [one, two] = await Promise.allSettled([auto.incr('io:auto:text'), auto.incr('io:auto:number')]);
  assert.match(one.reason.message, /not an integer/);
  equal(two.value, 1);
});

withClients('transactions', async (redis) => {
  equal(await redis.multi().set('io:tx', 1).incr('io:tx').get('io:tx').exec(), [[null, 'OK'], [null, 2], [null, '2']]);
  const answers = await redis.multi().rpush('io:tx:list', 1).incr('io:tx:list').llen('io:tx:list').exec();
  equal([answers[0], answers[2]], [[null, 1], [null, 1]]);
  assert.match(answers[1][0].message, /^WRONGTYPE/);
  const error = await fails(redis.multi().set('io:tx', 'never').call('set', 'io:tx').exec(), 'EXECABORT', 'ReplyError');
  assert.match(error.previousErrors[0].message, /wrong number of arguments/);
  equal(await redis.get('io:tx'), '2');
  await redis.multi({ pipeline: false });
  equal(await redis.set('io:tx', 3), 'QUEUED');
  equal(await redis.incr('io:tx'), 'QUEUED');
  equal(await redis.exec(), [[null, 'OK'], [null, 4]]);
  await redis.multi({ pipeline: false });
  await redis.set('io:tx', 'never');
  equal(await redis.discard(), 'OK');
  equal(await redis.get('io:tx'), '4');
});

withClients('WATCH without lost updates', async (redis, open) => {
  let broken = 0;
  await Promise.all(Array.from({ length: 6 }, async () => {
    const mine = open();
    for (let done = 0; done < 40; ) {
      await mine.watch('io:watched');
      const now = Number(await mine.get('io:watched'));
      const answer = await mine.multi().set('io:watched', now + 1).exec();
      if (answer === null) broken += 1;
      else done += 1;
    }
  }));
  equal(await redis.get('io:watched'), '240');
  assert.ok(broken > 0, 'no two clients ever met: nothing was shown');
  await redis.watch('io:watched');
  await open().set('io:watched', 'changed');
  await redis.unwatch();
  equal(await redis.multi().get('io:watched').exec(), [[null, 'changed']]);
});

withClients('publish and subscribe', async (redis, open) => {
  const sub = open();
  const got = [];
  sub.on('message', (channel, text) => got.push([channel, text]));
  sub.on('pmessage', (pattern, channel, text) => got.push([pattern, channel, text]));
  equal(await sub.subscribe('io:news', 'io:other'), 2);
  equal(await sub.psubscribe('io:n*'), 3);
  equal(await redis.publish('io:news', 'hello'), 2);
  await eventually(() => got.length === 2, 'two messages');
  equal(got.splice(0).sort(), [['io:n*', 'io:news', 'hello'], ['io:news', 'hello']]);
  equal(await sub.punsubscribe('io:n*'), 2);
  await Promise.all(Array.from({ length: 300 }, (_, number) => redis.publish('io:news', number)));
  await eventually(() => got.length === 300, 'three hundred messages');
  equal(got.splice(0), Array.from({ length: 300 }, (_, number) => ['io:news', String(number)]));
  await redis.multi().set('io:p', 1).publish('io:other', 'from a transaction').exec();
  await eventually(() => got.length === 1, 'a message');
  equal(got.splice(0), [['io:other', 'from a transaction']]);
  await fails(sub.get('io:p'), 'subscriber mode');
  equal(await sub.unsubscribe(), 0);
  equal(await redis.publish('io:news', 'nobody hears'), 0);
  equal(await sub.set('io:free', 'again'), 'OK');
});

withClients('sharded channels', async (redis, open) => {
  const sub = open();
  const got = [];
  sub.on('smessage', (channel, text) => got.push([channel, text]));
  equal(await sub.ssubscribe('io:shard'), 1);
  equal(await redis.spublish('io:shard', 'one'), 1);
  equal(await redis.publish('io:shard', 'not for shards'), 0);
  equal(await redis.spublish('io:shard', 'two'), 1);
  await eventually(() => got.length === 2, 'two messages');
  equal(got, [['io:shard', 'one'], ['io:shard', 'two']]);
  equal(await sub.sunsubscribe('io:shard'), 0);
  equal(await redis.spublish('io:shard', 'nobody hears'), 0);
});

withClients('subscriptions survive a lost connection', async (redis, open) => {
  const sub = open({ retryStrategy: () => 20 });
  const got = [];
  sub.on('message', (channel, text) => got.push(text));
  await sub.subscribe('io:lost');
  const ready = new Promise((resolve) => sub.once('ready', resolve));
  sub.stream.destroy();
  await ready;
  await eventually(async () => (await redis.publish('io:lost', 'again')) === 1, 'it is subscribed again');
  await eventually(() => got.length > 0, 'a message');
});

withClients('keyspace notifications', async (redis, open) => {
  const sub = open();
  const got = [];
  sub.on('pmessage', (pattern, channel, text) => got.push([channel, text]));
  await sub.psubscribe('__keyspace@0__:io:event:*');
  await redis.set('io:event:1', 'x');
  await redis.lpush('io:event:2', 'x');
  await redis.del('io:event:1');
  await redis.set('io:event:3', 'x', 'PX', 20);
  await eventually(() => got.some(([, event]) => event === 'expired'), 'the expiry is told');
  equal(got, [['__keyspace@0__:io:event:1', 'set'], ['__keyspace@0__:io:event:2', 'lpush'],
    ['__keyspace@0__:io:event:1', 'del'], ['__keyspace@0__:io:event:3', 'set'],
    ['__keyspace@0__:io:event:3', 'expire'], ['__keyspace@0__:io:event:3', 'expired']]);
});

withClients('blocking pops', async (redis, open) => {
  const waiter = open();
  const began = Date.now();
  equal(await waiter.blpop('io:b1', 'io:b2', 0.3), null);
  assert.ok(Date.now() - began > 250);
  const waitAndThen = async (waiting, act) => {
    await sleep(100); // most likely it is blocked by now; the answer is the same when it is not
    await act();
    return waiting;
  };
  equal(await waitAndThen(waiter.blpop('io:b1', 'io:b2', 20), () => redis.rpush('io:b2', 'job')), ['io:b2', 'job']);
  equal(await waitAndThen(waiter.brpop('io:b1', 0), () => redis.rpush('io:b1', 'a', 'b')), ['io:b1', 'b']);
  equal(await waiter.blmove('io:b1', 'io:done', 'LEFT', 'RIGHT', 1), 'a');
  equal(await waiter.brpoplpush('io:b1', 'io:done', 0.05), null);
  equal(await waiter.blmpop(1, 1, 'io:done', 'LEFT', 'COUNT', 5), ['io:done', ['a']]);
  equal(await waitAndThen(waiter.bzpopmin('io:bz', 20), () => redis.zadd('io:bz', 7, 'late')), ['io:bz', 'late', '7']);
  equal(await waiter.bzmpop(0.05, 1, 'io:bz', 'MAX'), null);
  let answer;
  waiter.xread('BLOCK', 20_000, 'STREAMS', 'io:bx', '$').then((reply) => { answer = reply; });
  await eventually(async () => (await redis.xadd('io:bx', '*', 'n', 1)) && answer, 'the entry is read');
  const [[stream, [[, fields]]]] = answer;
  equal([stream, fields], ['io:bx', ['n', '1']]);
  equal(await waiter.xread('BLOCK', 50, 'STREAMS', 'io:bx', '$'), null);
});

withClients('blocked clients are unblocked, and leave', async (redis, open) => {
  const waiter = open({ maxRetriesPerRequest: 0, retryStrategy: () => null });
  const id = await waiter.client('ID');
  const unblocked = waiter.blpop('io:never', 20);
  await eventually(() => redis.client('UNBLOCK', id), 'the client is blocked, and unblocked');
  equal(await unblocked, null);
  const failing = fails(waiter.brpop('io:never', 20), 'UNBLOCKED client unblocked via CLIENT UNBLOCK', 'ReplyError');
  await eventually(() => redis.client('UNBLOCK', id, 'ERROR'), 'the client is blocked, and unblocked');
  await failing;
  const left = fails(waiter.blpop('io:left', 0), 'Connection is closed');
  await sleep(100);
  waiter.disconnect();
  await left;
  await eventually(async () => !(await redis.client('LIST')).includes(`id=${id} `), 'the client is gone');
  await redis.rpush('io:left', 'job');
  equal(await redis.lpop('io:left'), 'job');
});

withClients('a queue of jobs', async (redis, open) => {
  const done = [];
  const workers = Array.from({ length: 4 }, async () => {
    const mine = open();
    for (;;) {
      const [, job] = (await mine.brpop('io:jobs', 10)) ?? [];
      if (job === 'stop' || job === undefined) return job;
      done.push(Number(job));
    }
  });
  for (let number = 0; number < 400; number += 1) redis.lpush('io:jobs', number);
  await eventually(() => done.length === 400, 'all jobs are done');
  await redis.lpush('io:jobs', 'stop', 'stop', 'stop', 'stop');
  equal(await Promise.all(workers), ['stop', 'stop', 'stop', 'stop']);
  equal(done.sort((a, b) => a - b), Array.from({ length: 400 }, (_, number) => number));
});

withClients('streams with groups', async (redis) => {
  const ids = [];
  for (let number = 0; number < 10; number += 1) ids.push(await redis.xadd('io:stream', '*', 'n', number));
  equal(await redis.xgroup('CREATE', 'io:stream', 'workers', '0'), 'OK');
  await fails(redis.xgroup('CREATE', 'io:stream', 'workers', '0'), 'BUSYGROUP', 'ReplyError');
  const [[, entries]] = await redis.xreadgroup('GROUP', 'workers', 'ann', 'COUNT', 4, 'STREAMS', 'io:stream', '>');
  equal(entries.map(([id]) => id), ids.slice(0, 4));
  equal(await redis.xack('io:stream', 'workers', ids[0], ids[1]), 2);
  equal(await redis.xpending('io:stream', 'workers'), [2, ids[2], ids[3], [['ann', '2']]]);
  equal((await redis.xpending('io:stream', 'workers', '-', '+', 10)).map(([id, name]) => [id, name]),
    [[ids[2], 'ann'], [ids[3], 'ann']]);
  const [next, claimed] = await redis.xautoclaim('io:stream', 'workers', 'bob', 0, '0', 'COUNT', 1);
  equal([next, claimed.map(([id]) => id)], [ids[3], [ids[2]]]);
  equal(await redis.xclaim('io:stream', 'workers', 'bob', 0, ids[3], 'JUSTID'), [ids[3]]);
  equal(await redis.xlen('io:stream'), 10);
  equal(await redis.xtrim('io:stream', 'MAXLEN', 5), 5);
  await fails(redis.xreadgroup('GROUP', 'nobody', 'ann', 'STREAMS', 'io:stream', '>'), 'NOGROUP', 'ReplyError');
});

withClients('workers on a stream', async (redis, open) => {
  await redis.xgroup('CREATE', 'io:tasks', 'g', '$', 'MKSTREAM');
  const done = [];
  let over = false;
  const workers = ['a', 'b', 'c'].map(async (name) => {
    const mine = open();
    while (!over) {
      const answer = await mine.xreadgroup('GROUP', 'g', name, 'COUNT', 5, 'BLOCK', 100, 'STREAMS', 'io:tasks', '>');
      for (const [id, fields] of answer?.[0][1] ?? []) {
        done.push(Number(fields[1]));
        await mine.xack('io:tasks', 'g', id);
      }
    }
  });
  for (let number = 0; number < 200; number += 1) redis.xadd('io:tasks', 'MAXLEN', '~', 1000, '*', 'n', number);
  await eventually(() => done.length >= 200, 'all tasks are done').finally(() => { over = true; });
  await Promise.all(workers);
  equal(done.sort((a, b) => a - b), Array.from({ length: 200 }, (_, number) => number));
  equal((await redis.xpending('io:tasks', 'g'))[0], 0);
});

withClients('scripts by defineCommand', async (redis, open) => {
  const define = (client) => client.defineCommand('limited', {
    numberOfKeys: 1,
    lua: "local n = redis.call('INCRBY', KEYS[1], ARGV[1]) if n > tonumber(ARGV[2]) then return {n, 'over'} end "
      + "return {n, 'fine'}",
  });
  define(redis);
  equal([await redis.limited('io:rate', 2, 3), await redis.limited('io:rate', 2, 3)], [[2, 'fine'], [4, 'over']]);
  equal(await redis.script('FLUSH'), 'OK');
  equal(await redis.limited('io:rate', 1, 9), [5, 'fine']); // EVALSHA, NOSCRIPT, EVAL
  await redis.script('FLUSH');
  equal(await redis.pipeline().set('io:rate', 0).limited('io:rate', 7, 9).exec(), [[null, 'OK'], [null, [7, 'fine']]]);
  equal(await redis.multi().limited('io:rate', 1, 9).get('io:rate').exec(), [[null, [8, 'fine']], [null, '8']]);
  const fresh = open({ scripts: { io_get: { lua: "return redis.call('GET', KEYS[1])", numberOfKeys: 1, readOnly: true } } });
  equal(await fresh.io_get('io:rate'), '8');
  await fails(redis.evalsha('0'.repeat(40), 0), 'NOSCRIPT', 'ReplyError');
  equal(await redis.eval("return {1, 'two', false, {3}}", 0), [1, 'two', null, [3]]);
  await fails(redis.eval("redis.call('SET', KEYS[1], 'kept') return redis.error_reply('MINE on purpose')", 1, 'io:kept'),
    'MINE on purpose', 'ReplyError');
  equal(await redis.get('io:kept'), 'kept');
  const sha = await redis.script('LOAD', 'return ARGV[1]');
  equal(await redis.script('EXISTS', sha, '0'.repeat(40)), [1, 0]);
  equal(await redis.evalshaBuffer(sha, 0, everyByte), everyByte);
});

withClients('functions', async (redis) => {
  const code = "#!lua name=iolib\nredis.register_function('iopush', function(keys, args) "
    + "return redis.call('RPUSH', keys[1], unpack(args)) end)";
  equal(await redis.function('LOAD', code), 'iolib');
  await fails(redis.function('LOAD', code), 'already exists');
  equal(await redis.fcall('iopush', 1, 'io:fun', 'a', 'b'), 2);
  await fails(redis.fcall_ro('iopush', 1, 'io:fun', 'c'), 'write flag');
  equal(await redis.function('DELETE', 'iolib'), 'OK');
  await fails(redis.fcall('iopush', 1, 'io:fun', 'c'), 'Function not found');
});

withClients('locks', async (redis, open) => {
  const release = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";
  const extend = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
  let inside = 0;
  let total = 0;
  await Promise.all(Array.from({ length: 5 }, async (_, worker) => {
    const mine = open();
    for (let round = 0; round < 10; round += 1) {
      await eventually(() => mine.set('io:lock', `token${worker}`, 'PX', PATIENCE, 'NX'), 'the lock is free');
      inside += 1;
      equal(inside, 1);
      equal(await mine.eval(extend, 1, 'io:lock', `token${worker}`, 2 * PATIENCE), 1);
      total += 1;
      inside -= 1;
      equal(await mine.eval(release, 1, 'io:lock', `token${worker}`), 1);
    }
  }));
  equal(total, 50);
  await redis.set('io:lock', 'another');
  equal(await redis.eval(release, 1, 'io:lock', 'token1'), 0);
});

withClients('scan streams', async (redis) => {
  const all = async (stream) => {
    const got = [];
    for await (const batch of stream) got.push(...batch);
    return got;
  };
  const names = Array.from({ length: 1500 }, (_, number) => `io:scan:${number}`);
  await redis.mset(names.flatMap((name) => [name, 'x']));
  equal([...new Set(await all(redis.scanStream({ match: 'io:scan:*', count: 100 })))].sort(), [...names].sort());
  await redis.hset('io:bighash', Object.fromEntries(names.map((name, number) => [name, number])));
  equal((await all(redis.hscanStream('io:bighash', { count: 100 }))).length, 3000);
  await redis.sadd('io:bigset', names);
  equal(new Set(await all(redis.sscanStream('io:bigset', { match: '*:1*' }))).size, 611);
  equal(await redis.unlink(names), 1500);
});

withClients('big and binary values', async (redis) => {
  const big = randomBytes(8 << 20);
  await redis.set(everyByte, big);
  assert.ok(big.equals(await redis.getBuffer(everyByte)));
  await redis.hset('io:binary', everyByte, '\r\n$-1\r\n');
  equal(await redis.hgetallBuffer('io:binary'), { [everyByte]: Buffer.from('\r\n$-1\r\n') });
  equal(await redis.restore('io:restored', 0, await redis.dumpBuffer('io:binary')), 'OK');
  equal(await redis.hlen('io:restored'), 1);
  await redis.del(everyByte);
});

withClients('databases', async (redis, open) => {
  const five = open({ db: 5 });
  await five.set('io:db', 'five');
  equal(await redis.get('io:db'), null);
  await redis.select(5);
  equal(await redis.get('io:db'), 'five');
  equal(await redis.move('io:db', 6), 1);
  equal(await redis.copy('io:none', 'io:none2', 'DB', 7), 0);
  const six = open({ db: 6 });
  equal(await six.get('io:db'), 'five');
  equal(await redis.swapdb(5, 6), 'OK');
  equal([await five.get('io:db'), await six.get('io:db')], ['five', null]);
  equal(await five.flushdb('ASYNC'), 'OK');
  equal(await five.dbsize(), 0);
  await fails(redis.select(99), 'DB index is out of range', 'ReplyError');
  equal(await redis.multi().select(0).set('io:selected', 1).exec(), [[null, 'OK'], [null, 'OK']]);
  equal(await redis.get('io:selected'), '1');
});

withClients('about the connection', async (redis, open) => {
  const named = open({ connectionName: 'io-named' });
  equal(await named.client('GETNAME'), 'io-named');
  const id = await named.client('ID');
  assert.match(await named.client('INFO'), new RegExp(`^id=${id} .*name=io-named`));
  assert.match(await redis.client('LIST'), new RegExp(`id=${id} .*name=io-named`));
  const hello = await named.call('HELLO', 2, 'SETNAME', 'io-hello');
  equal(hello[hello.indexOf('proto') + 1], 2);
  equal(await named.client('GETNAME'), 'io-hello');
  equal([await redis.ping(), await redis.ping('x'), await redis.echo('y')], ['PONG', 'x', 'y']);
  assert.match(await redis.info(), /redis_version:/);
  const prefixed = open({ keyPrefix: 'io:prefix:' });
  await prefixed.set('a', 1);
  equal([await prefixed.get('a'), await redis.get('io:prefix:a')], ['1', '1']);
  const late = open({ lazyConnect: true });
  equal(late.status, 'wait');
  await late.connect();
  equal(late.status, 'ready');
});

withClients('reconnects', async (redis, open) => {
  const lost = open({ retryStrategy: () => 20 });
  await lost.set('io:before', 1);
  await lost.select(2);
  lost.stream.destroy();
  equal(await lost.set('io:after', 1), 'OK'); // waits for the new connection, in the same database
  await redis.select(2);
  equal(await redis.get('io:after'), '1');
  equal(await lost.quit(), 'OK');
  await eventually(() => lost.status === 'end', 'QUIT closes the connection');
  await lost.connect();
  equal(await lost.ping(), 'PONG');
  await lost.multi({ pipeline: false });
  equal(await lost.call('RESET'), 'RESET');
  equal(await lost.ping(), 'PONG');
});

withClients('errors have their types', async (redis) => {
  await redis.set('io:string', 'text');
  const error = await fails(redis.lpush('io:string', 1), 'WRONGTYPE Operation against a key', 'ReplyError');
  equal(error.command, { name: 'lpush', args: ['io:string', '1'] });
  await fails(redis.incr('io:string'), 'ERR value is not an integer or out of range', 'ReplyError');
  await fails(redis.call('NOSUCHCOMMAND', 'x'), "ERR unknown command 'NOSUCHCOMMAND'", 'ReplyError');
  await fails(redis.call('GET'), "ERR wrong number of arguments for 'get' command", 'ReplyError');
  await fails(redis.set('io:string', 'v', 'MAYBE'), 'ERR syntax error', 'ReplyError');
  await fails(redis.rename('io:nothing', 'io:x'), 'ERR no such key', 'ReplyError');
  await fails(redis.call('EXEC'), 'ERR EXEC without MULTI', 'ReplyError');
});

test('a cluster client is told', async () => {
  const cluster = new Redis.Cluster([{ host: '127.0.0.1', port }], { clusterRetryStrategy: () => null, lazyConnect: true });
  const told = [];
  cluster.on('error', (error) => told.push(error.lastNodeError?.message ?? error.message));
  await fails(cluster.connect(), 'None of startup nodes is available');
  equal(told, ['ERR This instance has cluster support disabled']);
  cluster.disconnect();
});

await run();
