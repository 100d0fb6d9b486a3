// What captions call an object: words that denote it, and words that make its absence doubtful.

/** `same`: the object itself under another name; `maybe`: it may be meant, so it must not be called absent. */
interface Synonyms {
  readonly same: readonly string[];
  readonly maybe: readonly string[];
}

const none: Synonyms = { same: [], maybe: [] };

function words(list: string): string[] {
  return list === "" ? [] : list.split(",").map((word) => word.trim());
}

function row(same: string, maybe = ""): Synonyms {
  return { same: words(same), maybe: words(maybe) };
}

const people = row(
  "man, woman, boy, girl, child, kid, baby, toddler, infant, guy, lady, gentleman, person, adult, teenager, teen, lad, dude, male, female, player, skier, surfer, snowboarder, skateboarder, skater, rider, cyclist, biker, bicyclist, motorcyclist, pedestrian, passenger, batter, pitcher, catcher, umpire, chef, cook, worker, officer, policeman, soldier, student, vendor, farmer, tourist, shopper, driver, bride, groom, mother, father, mom, dad, son, daughter, brother, sister, friend, athlete, golfer, spectator, performer, musician, businessman, fisherman, swimmer, customer, waiter, waitress, teacher, doctor, nurse, human, individual, folk",
  "crowd, audience, family, team, couple, group, hand, arm, face, finger, leg, foot, head, someone, somebody, he, she, his, her, they, boarder, jockey, cowboy, spectators, selfie, portrait, wedding, class, tennis, baseball, wearing, holding, police, model, snowboarding, skiing, skateboarding, surfing, riding",
);
const car = row("automobile, sedan, suv, taxi, cab, minivan, hatchback", "vehicle, traffic, van, jeep, auto, parked");
const bicycle = row("bike, cycle, tricycle", "cyclist, biker, biking, cycling, bicyclist");
const motorcycle = row("motorbike, scooter, moped, dirt bike, motor bike", "bike, vehicle, motorcyclist, biker");
const airplane = row("plane, aeroplane, jet, jetliner, airliner, aircraft, air plane, biplane", "glider, helicopter");
const couch = row("sofa, loveseat, settee", "furniture, chair, living room, armchair, futon");
const tv = row("television, tv set, tv monitor, flat screen, flatscreen, telly", "monitor, screen, wii, video game");
const plant = row("plant, houseplant, flower pot", "flower, pot, vase, greenery, bush, tree, planter, rose, fern");

/** COCO's eighty names (and VOC's spellings of them); other names get only their own forms. */
const table: ReadonlyMap<string, Synonyms> = new Map(
  Object.entries({
    person: people,
    bicycle,
    car,
    motorcycle,
    motorbike: motorcycle,
    airplane,
    aeroplane: airplane,
    bus: row("school bus, minibus, double decker", "vehicle, coach, traffic, shuttle, trolley"),
    train: row("locomotive, subway, tram, metro train", "engine, railroad, railway, rail, trolley, station"),
    truck: row("lorry, pickup, pickup truck, semi, fire truck", "vehicle, trailer, van, traffic, tractor, suv"),
    boat: row("ship, canoe, kayak, sailboat, yacht, ferry, raft, rowboat, gondola", "vessel, marina, harbor, dock"),
    "traffic light": row("stoplight, stop light, traffic signal, street light", "light, signal, intersection"),
    "fire hydrant": row("hydrant, fireplug, fire plug"),
    "stop sign": row("stopsign", "sign, street sign, road sign"),
    "parking meter": row("parkometer", "meter"),
    bench: row("park bench, pew", "seat, seating"),
    bird: row(
      "parrot, pigeon, seagull, gull, duck, goose, swan, owl, eagle, hawk, chicken, rooster, hen, crow, sparrow, parakeet, peacock, penguin, flamingo, pelican, ostrich, turkey, heron",
      "animal, flock, wildlife, feather",
    ),
    cat: row("kitten, kitty, tabby, feline", "pet, animal"),
    dog: row("puppy, pup, doggy, canine, poodle, terrier, bulldog, labrador, retriever, dalmatian", "pet, animal"),
    horse: row("pony, foal, mare, stallion, donkey, mule, colt", "animal, jockey, horseback, carriage, cavalry"),
    sheep: row("lamb, ram, ewe", "animal, herd, flock, goat, livestock"),
    cow: row("cattle, bull, calf, ox, steer", "animal, herd, livestock, bovine, longhorn"),
    elephant: row("", "animal, herd, wildlife"),
    bear: row("grizzly, polar bear, cub", "animal, teddy, panda, wildlife"),
    zebra: row("", "animal, herd, wildlife"),
    giraffe: row("", "animal, herd, wildlife"),
    backpack: row("back pack, rucksack, knapsack, bookbag", "bag, luggage, pack"),
    umbrella: row("parasol", "canopy, shade, awning"),
    handbag: row("purse, hand bag, pocketbook, tote", "bag, luggage"),
    tie: row("necktie, bow tie, bowtie", "suit, uniform, tuxedo, formal, dressed up"),
    suitcase: row("luggage, baggage, briefcase, suit case", "bag, trunk"),
    frisbee: row("frisbe, flying disc, flying disk", "disc, disk"),
    skis: row("ski", "skier, skiing, slope"),
    snowboard: row("snow board", "snowboarder, snowboarding, board, boarder"),
    "sports ball": row(
      "ball, baseball, basketball, soccer ball, football, volleyball, tennis ball, softball",
      "soccer, tennis, game, pitch, pitching, throwing",
    ),
    kite: row("", "parasail, windsock, kiteboarding"),
    "baseball bat": row("bat", "baseball, batter, swing, swinging, batting"),
    "baseball glove": row("glove, mitt, catchers mitt, baseball mitt", "baseball, catcher, pitcher, softball"),
    skateboard: row("skate board, longboard", "skateboarder, skateboarding, skater, skating, board, skate"),
    surfboard: row("surf board, boogie board, paddle board", "surfer, surfing, board, surf, wave"),
    "tennis racket": row("racket, racquet, tennis racquet, raquet", "tennis"),
    bottle: row("beer bottle, wine bottle, water bottle", "beer, wine, drink, beverage, soda, alcohol"),
    "wine glass": row("wineglass, goblet, champagne glass", "glass, wine, drink, champagne"),
    cup: row("mug, teacup, coffee cup, coffee mug, tumbler", "coffee, tea, drink, beverage, glass, latte"),
    fork: row("", "utensil, silverware, cutlery"),
    knife: row("", "utensil, silverware, cutlery, blade, cutting, slicing"),
    spoon: row("teaspoon, tablespoon", "utensil, silverware, cutlery, ladle"),
    bowl: row("", "dish, salad, soup, cereal"),
    banana: row("plantain", "fruit, produce"),
    apple: row("", "fruit, produce"),
    sandwich: row("burger, hamburger, sub, panini, blt, cheeseburger", "bread, toast, lunch, food, bun"),
    orange: row("tangerine, clementine", "fruit, citrus, produce"),
    broccoli: row("brocolli, broccolli", "vegetable, veggie, greens, salad, produce"),
    carrot: row("", "vegetable, veggie, salad, produce"),
    "hot dog": row("hotdog, sausage, frankfurter, corn dog, chili dog", "bun, food, hotdog"),
    pizza: row("pizza pie", "slice, food, pie, pepperoni"),
    donut: row("doughnut", "pastry, dessert, bakery, sweet"),
    cake: row("cupcake, birthday cake, cheesecake, wedding cake", "dessert, pastry, bakery, birthday, sweet"),
    chair: row("armchair, arm chair, stool, recliner, rocking chair", "seat, seating, furniture, sitting"),
    couch,
    sofa: couch,
    "potted plant": plant,
    pottedplant: plant,
    bed: row("bunk bed, mattress, bunkbed", "bedroom, furniture, bedding, hotel room"),
    "dining table": row(
      "table, kitchen table, dinner table, picnic table",
      "dining, furniture, desk, plate, meal, restaurant, dinner, lunch, kitchen, counter, food",
    ),
    toilet: row("urinal, commode, bidet, toilet bowl", "bathroom, restroom, washroom"),
    tv,
    tvmonitor: tv,
    "tv monitor": tv,
    laptop: row("notebook computer, laptop computer, macbook", "computer, desk, notebook"),
    mouse: row("computer mouse", "computer, desk"),
    remote: row("remote control, wii remote, controller, wiimote", "wii, nintendo, video game, game"),
    keyboard: row("computer keyboard", "computer, laptop, desk, piano"),
    "cell phone": row("cellphone, phone, smartphone, iphone, mobile phone, smart phone", "device, mobile, selfie"),
    microwave: row("microwave oven", "appliance, kitchen"),
    oven: row("stove, range, stovetop", "appliance, kitchen, cooking, baking"),
    toaster: row("toaster oven", "appliance, kitchen"),
    sink: row("basin, washbasin", "bathroom, kitchen, faucet, restroom"),
    refrigerator: row("fridge, freezer, refridgerator", "appliance, kitchen"),
    book: row("novel, textbook", "bookshelf, bookcase, library, magazine, reading, shelf"),
    clock: row("", "clock tower, watch, time, tower"),
    vase: row("", "flower, pot, jar, pottery, bouquet"),
    scissors: row("shears, pair of scissors", "scissor, cutting"),
    "teddy bear": row("teddy, stuffed bear, stuffed animal, stuffed toy, plush", "bear, toy, doll"),
    "hair drier": row("hair dryer, blow dryer, hairdryer, blowdryer", "dryer"),
    "hair dryer": row("hair drier, blow dryer, hairdryer, blowdryer", "dryer"),
    toothbrush: row("tooth brush", "teeth, brushing, brush"),
  }),
);

/** Present objects that make another one's absence doubtful, because annotators often leave it out. */
const implied: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    laptop: ["keyboard"],
    tie: ["person"],
    backpack: ["person"],
    "tennis racket": ["person"],
    skis: ["person"],
    pizza: ["dining table"],
    cake: ["dining table"],
    fork: ["dining table"],
    knife: ["dining table"],
    spoon: ["dining table"],
    bowl: ["dining table"],
    "wine glass": ["dining table"],
    couch: ["sofa"],
    sofa: ["couch"],
    motorbike: ["motorcycle"],
    motorcycle: ["motorbike"],
    airplane: ["aeroplane"],
    aeroplane: ["airplane"],
    tv: ["tv monitor", "tvmonitor"],
  }),
);

/** Other words for a name in captions; empty lists for names that the table does not know. */
export function synonymsOf(name: string): Synonyms {
  return table.get(name) ?? none;
}

/** Names that must not be called absent where `name` is present. */
export function impliedBy(name: string): readonly string[] {
  return implied.get(name) ?? [];
}

/** One name for each object that captions can be searched for where a source has no boxes. */
export function knownNames(): string[] {
  const first = new Map<Synonyms, string>();
  for (const [name, synonyms] of table) if (!first.has(synonyms)) first.set(synonyms, name);
  return [...first.values()];
}
