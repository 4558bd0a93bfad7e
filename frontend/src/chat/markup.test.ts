import { expect, test } from 'vitest';

import { parts, pieces, webAddress } from './markup';

test.each([
  ['https://shop.example/a?b=c', 'https://shop.example/a?b=c'],
  ['http://shop.example', 'http://shop.example/'],
  ['javascript:alert(1)', undefined],
  ['JaVaScRiPt:alert(1)', undefined],
  ['data:text/html,<script>', undefined],
  ['file:///etc/passwd', undefined],
  ['//shop.example', undefined],
  [7, undefined],
])('the address %j', (value, expected) => expect(webAddress(value)).toBe(expected));

test.each([
  ['no link', [{ text: 'no link' }]],
  ['', []],
  [
    'See https://shop.example/a, or http://b.example.',
    [
      { text: 'See ' },
      { text: 'https://shop.example/a', url: 'https://shop.example/a' },
      { text: ', or ' },
      { text: 'http://b.example', url: 'http://b.example/' },
      { text: '.' },
    ],
  ],
  ['<a href="javascript:alert(1)">', [{ text: '<a href="javascript:alert(1)">' }]],
])('the pieces of %j', (text, expected) => expect(pieces(text)).toEqual(expected));

test('outputs become parts, and what is unsafe or unknown is left out', () => {
  const outputs = [
    { type: 'text', text: 'Hello', suggestions: ['yes', 7] },
    { type: 'image', url: 'https://x.example/box.png' },
    { type: 'image', url: 'javascript:alert(1)' },
    { type: 'payload', value: { order: 7 } },
    {
      type: 'payload',
      value: {
        cards: [
          {
            title: 'Kettle',
            image: 'data:image/svg+xml,<svg>',
            url: 'https://shop.example/kettle',
            buttons: [{ title: 'Buy', say: 'buy the kettle' }, { title: 'Hack', url: 'javascript:alert(1)' }],
          },
          { text: 'no title' },
        ],
      },
    },
    { type: 'video' },
    null,
  ];
  expect(parts(outputs)).toEqual([
    { kind: 'text', text: 'Hello', suggestions: ['yes'] },
    { kind: 'image', url: 'https://x.example/box.png' },
    {
      kind: 'cards',
      cards: [
        { title: 'Kettle', url: 'https://shop.example/kettle', buttons: [{ title: 'Buy', say: 'buy the kettle' }] },
      ],
    },
  ]);
  expect(parts('text')).toEqual([]);
});
