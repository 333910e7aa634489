import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { marked, type Token } from 'marked';
import { describe, expect, test } from 'vitest';

const repository = join(import.meta.dirname, '..', '..');

/** What is or will be committed: no dependency, nothing generated. */
const documents = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'],
  { cwd: repository, encoding: 'utf8' },
)
  .trim()
  .split('\n')
  .filter((name) => existsSync(join(repository, name)))
  .toSorted();

function linksOf(text: string): string[] {
  const links: string[] = [];
  void marked.walkTokens(marked.lexer(text), (token: Token) => {
    if (token.type === 'link' || token.type === 'image') links.push(String(token['href']));
  });
  return links;
}

/** Names of a page's headings, as the usual viewers of Markdown make them. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  void marked.walkTokens(marked.lexer(text), (token: Token) => {
    if (token.type === 'heading')
      anchors.add(
        String(token['text'])
          .toLowerCase()
          .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
          .replaceAll(/\s/g, '-'),
      );
  });
  return anchors;
}

/** Why a link leads nowhere; undefined when it leads somewhere. */
function faultOf(link: string, document: string): string | undefined {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? document : join(dirname(document), decodeURIComponent(path));
  const file = join(repository, target);
  if (relative(repository, file).startsWith('..')) return `${link} leads out of the repository`;
  if (!existsSync(file)) return `${link} leads nowhere`;
  const hasAnchors = anchor !== undefined && target.endsWith('.md') && statSync(file).isFile();
  if (!hasAnchors || anchorsOf(readFileSync(file, 'utf8')).has(anchor)) return undefined;
  return `${link} names no heading`;
}

describe.each(documents)('%s', (document) => {
  const text = readFileSync(join(repository, document), 'utf8');

  test('links to what there is', () => {
    const relativeLinks = linksOf(text).filter((link) => !/^[a-z][a-z0-9+.-]*:/i.test(link));
    const faults = relativeLinks.map((link) => faultOf(link, document));
    expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
  });

  test('begins with one title', () => {
    const titles = marked
      .lexer(text)
      .filter((token) => token.type === 'heading' && token['depth'] === 1);
    expect(titles).toHaveLength(1);
  });
});
