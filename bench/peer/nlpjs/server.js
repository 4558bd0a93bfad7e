// nlp.js behind the REST channel's JSON shape: server.js ROWS PORT MODEL
// ROWS is a CSV file with the header `text,intent`, MODEL the file that keeps what was trained. Each answer's text is
// the intent and its score.

const fs = require('node:fs');
const { dockStart } = require('@nlpjs/basic');
const fastify = require('fastify');

const [rows, port, model] = process.argv.slice(2);

/** The fields of a line of CSV, where quotes are doubled inside quoted fields. */
function fields(line) {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) =>
    quoted === undefined ? plain : quoted.replaceAll('""', '"'),
  );
}

async function serve() {
  const dock = await dockStart({ use: ['Basic'], settings: { nlp: { log: false, autoSave: false } } });
  const nlp = dock.get('nlp');
  nlp.addLanguage('en');
  if (fs.existsSync(model)) {
    nlp.import(fs.readFileSync(model, 'utf8'));
  } else {
    for (const line of fs.readFileSync(rows, 'utf8').trim().split('\n').slice(1)) {
      const [text, intent] = fields(line);
      nlp.addDocument('en', text, intent);
    }
    await nlp.train();
    fs.writeFileSync(model, nlp.export(true));
  }

  const server = fastify();
  server.post('/webhooks/rest/webhook', async ({ body: { sender, message } }) => {
    const { classifications } = await nlp.process('en', message);
    const best = classifications.find(({ intent }) => intent !== 'None') ?? { intent: 'none', score: 0 };
    return [{ recipient_id: sender, text: `${best.intent} ${best.score}` }];
  });
  await server.listen({ host: '127.0.0.1', port: Number(port) });
}

serve();
