// The platforms, from the cards that the server writes: for each its title, its colour, and where its repositories are.
import { all, one } from "/dom.js";

export const CARDS = [...all(".card[data-platform]")].map((card) => [card.dataset.platform, card]);
const of = (value) => Object.fromEntries(CARDS.map(([platform, card]) => [platform, value(card)]));
export const PLATFORMS = of((card) => one("h2", card).textContent);
export const NUMBERS = of((card) => Number(card.dataset.number));
const SITES = of((card) => card.dataset.site);
// What comes before the name of a repository in its address, by the kind of its artefact.
const FOLDERS = of((card) => JSON.parse(card.dataset.folders));

// The address of a repository; undefined for a name that is not one, or without a site.
export function addressOf(platform, repository, artefact) {
  const [owner, name, more] = repository.split("/");
  if (!SITES[platform] || !owner || !name || more !== undefined) return undefined;
  return SITES[platform] + (FOLDERS[platform][artefact] ?? "") + [owner, name].map(encodeURIComponent).join("/");
}
