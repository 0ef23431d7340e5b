"""The words of the embedded voice's world: plain lists, and tables whose rows belong together."""


from pathlib import Path


def _list(text):
    return [w.strip() for w in text.replace("\n", " ").split(",") if w.strip()]


def _table(text):
    return [tuple(p.strip() for p in line.split("|")) for line in text.strip().splitlines()]


LISTS = {k: _list(v) for k, v in {
    "pet": "dog, cat, dog, cat, rabbit, hamster, parrot, budgie, goldfish, turtle, guinea pig, ferret, horse, pony, kitten, puppy, "
           "canary, snake, lizard, gecko, mouse, rat, chicken, goat, duck, tortoise, bird, fish, donkey",
    "petname": "Biscuit, Luna, Max, Bella, Milo, Coco, Rocky, Daisy, Charlie, Lucy, Buddy, Molly, Oscar, Ruby, Toby, Poppy, Simba, "
               "Nala, Felix, Misty, Shadow, Smokey, Ginger, Pepper, Peanut, Cookie, Honey, Rusty, Rex, Bruno, Bear, Teddy, Lola, Maggie, "
               "Sasha, Tiger, Whiskers, Mittens, Socks, Patch, Spot, Fluffy, Snowy, Snowball, Oreo, Pickle, Muffin, Waffles, Noodle, "
               "Mochi, Olive, Hazel, Willow, Storm, Ziggy, Bandit, Scout, Moose, Duke, Pixie, Pebbles, Bubbles, Nemo, Rosie, Tilly, "
               "Merlin, Pumpkin, Jasper, Loki, Thor, Zeus, Apollo, Kiwi, Mango, Clover, Minnie, Gizmo, Jack, Leo, Nora",
    "first": "Anna, Ben, Clara, David, Emma, Frank, Grace, Henry, Ivy, Jack, Kate, Leo, Mia, Noah, Olivia, Paul, Rosa, Sam, Tom, Vera, "
             "Will, Zoe, Alice, Bob, Carol, Dan, Eva, Finn, George, Hannah, Ian, Julia, Karl, Laura, Mark, Nina, Oscar, Peter, Ruth, "
             "Sarah, Tim, Lucy, Max, Maria, James, John, Mary, Sofia, Lena, Lukas, Jonas, Marta, Pedro, Carlos, Elena, Ali, Fatima, "
             "Omar, Aisha, Yuki, Kenji, Mei, Chen, Wei, Priya, Raj, Ravi, Anita, Igor, Olga, Ivan, Natasha, Pierre, Marie, Jean, "
             "Claire, Hugo, Louis, Chloe, Lily, Ella, Ava, Ryan, Kevin, Brian, Steve, Mike, Chris, Alex, Robin, Jamie, Kim, Lee, "
             "Diana, Helen, Jane, Joe, Nick, Rachel, Simon, Susan, Thomas, Victor, Walter, Michael, Daniel, Robert, Linda, Andrew, "
             "Matt, Adam, Amy, Emily, Eric, Greta, Ingrid, Lars, Sven, Astrid, Bjorn, Pavel, Tomas, Jan, Eva, Iris, Martin, Stefan",
    "food": "pizza, pasta, soup, bread, cheese, rice, salad, chocolate, cake, ice cream, curry, sushi, lasagne, fish, chicken, steak, "
            "toast, porridge, stew, yoghurt, honey, apple pie, fried rice, spaghetti, tomato soup, garlic bread, popcorn, butter, "
            "risotto, chilli, goulash, hummus, tofu, mashed potato, roast chicken, vegetable soup, cheesecake, banana bread, ramen, "
            "pumpkin soup, onion soup, potato salad, carrot cake, fish and chips, macaroni cheese, couscous, lentil soup, jam, pie",
    "foods": "pancakes, noodles, tacos, dumplings, sandwiches, burgers, waffles, cookies, eggs, potatoes, chips, beans, mushrooms, "
             "tomatoes, apples, bananas, strawberries, cherries, grapes, oranges, pears, peaches, carrots, olives, nuts, blueberries, "
             "raspberries, plums, onions, peppers, biscuits, muffins, sausages, meatballs, scrambled eggs, fried eggs, doughnuts, "
             "baked beans, peas, lemons, croissants, burritos, pickles",
    "drink": "coffee, tea, green tea, hot chocolate, water, milk, orange juice, apple juice, lemonade, beer, wine, red wine, cocoa, "
             "mint tea, black tea, cold milk, iced tea, cider, ginger tea, herbal tea, espresso, a smoothie",
    "hobby": "painting, drawing, running, swimming, reading, gardening, cooking, baking, knitting, sewing, fishing, hiking, climbing, "
             "dancing, singing, cycling, sailing, writing, photography, playing chess, playing the guitar, playing the piano, yoga, "
             "skiing, skating, camping, birdwatching, collecting stamps, woodworking, pottery, playing football, playing tennis, "
             "playing basketball, video games, board games, playing cards, astronomy, juggling, origami, learning languages, travelling, "
             "playing the violin, playing the drums, surfing, rowing, horse riding, model trains, crosswords, puzzles, acting, "
             "programming, chess, tennis, football, golf, volleyball, badminton, table tennis, karate, judo, archery, crochet, jogging, "
             "walking, meditation, calligraphy, beekeeping, coding, boxing, bowling, kayaking, diving, snowboarding, archery, quilting",
    "job": "nurse, teacher, doctor, baker, cook, chef, driver, farmer, gardener, painter, carpenter, plumber, electrician, lawyer, "
           "programmer, writer, musician, waiter, shop assistant, police officer, firefighter, postman, librarian, engineer, scientist, "
           "student, pilot, sailor, fisherman, hairdresser, dentist, vet, tailor, mechanic, photographer, journalist, actor, designer, "
           "architect, accountant, cleaner, builder, bus driver, truck driver, translator, secretary, manager, singer, dancer, judge, "
           "florist, barber, butcher, taxi driver, train driver, social worker, therapist, pharmacist, soldier, zookeeper, potter, "
           "researcher, software developer, data analyst, receptionist, tour guide, beekeeper, lighthouse keeper, guard, welder",
    "city": "London, Paris, Rome, Berlin, Madrid, Lisbon, Vienna, Prague, Dublin, Oslo, Athens, Tokyo, New York, Chicago, Boston, "
            "Toronto, Sydney, Moscow, Istanbul, Cairo, Delhi, Mumbai, Beijing, Shanghai, Seoul, Hamburg, Munich, Cologne, Venice, Milan, "
            "Naples, Florence, Barcelona, Seville, Porto, Amsterdam, Brussels, Zurich, Geneva, Copenhagen, Stockholm, Helsinki, Warsaw, "
            "Krakow, Budapest, Edinburgh, Glasgow, Manchester, Liverpool, Bristol, York, Seattle, Denver, Texas, California, Hawaii, "
            "San Francisco, Los Angeles, Montreal, Melbourne, Cape Town, Nairobi, Lagos, Lima, Havana, Rio, Leipzig, Dresden, Lyon, "
            "Marseille, Nice, Salzburg, Bergen, Galway, Cork, Cardiff, Kyoto, Osaka, Bangkok, Singapore, Bali, Jakarta, Manila",
    "country": "France, Spain, Italy, Germany, Portugal, Greece, Turkey, Egypt, India, China, Japan, Korea, Canada, Mexico, Brazil, "
               "Argentina, Chile, Peru, Australia, New Zealand, Norway, Sweden, Finland, Denmark, Iceland, Ireland, Scotland, England, "
               "Wales, Poland, Austria, Switzerland, Holland, Belgium, Croatia, Hungary, Romania, Morocco, Kenya, South Africa, "
               "Thailand, Vietnam, Indonesia, Nepal, Cuba, Russia, Ukraine, America, Colombia, Malta, Cyprus, Nigeria, Ghana",
    "relative": "mother, father, sister, brother, grandmother, grandfather, aunt, uncle, cousin, son, daughter, wife, husband, "
                "mum, dad, grandma, grandpa, boyfriend, girlfriend, best friend, neighbour, boss, friend, nephew, niece, partner, mom",
    "colour": "red, blue, green, yellow, orange, purple, pink, black, white, brown, grey, gold, silver, turquoise, dark blue, light blue",
    "day": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
    "when": "tomorrow, next week, this weekend, tonight, on Monday, on Friday, on Saturday, on Sunday, next month, soon, this evening, "
            "in the summer, this afternoon, after work",
    "past": "yesterday, today, last night, this morning, last week, on the weekend, last weekend, on Sunday, last summer, this afternoon, "
            "on Saturday, last year, two days ago",
    "month": "January, February, March, April, May, June, July, August, September, October, November, December",
    "season": "spring, summer, autumn, winter",
    "animal": "fox, bear, wolf, owl, lion, tiger, elephant, whale, dolphin, seal, penguin, deer, hedgehog, squirrel, frog, bee, "
              "butterfly, crow, swan, seagull, otter, mole, badger, monkey, giraffe, zebra, camel, shark, crab, octopus, snail, eagle, "
              "rabbit, mouse, cat, dog, horse, sheep, cow, pig, goose, turtle, hare, sparrow, robin, bat, kangaroo, koala, panda, dragon",
    "item": "keys, phone, wallet, umbrella, bag, book, glasses, watch, ring, hat, scarf, gloves, passport, ticket, notebook, pen, laptop, "
            "headphones, coat, bike, camera, charger, shoes, jacket",
    "thing": "cars, trains, boats, ships, planes, books, films, music, flowers, trees, birds, stars, the sea, the beach, the mountains, "
             "the forest, rain, snow, thunderstorms, summer, winter, autumn, spring, Mondays, the weekend, cats, dogs, horses, spiders, "
             "museums, concerts, jazz, rock music, classical music, poetry, old houses, big cities, small towns, the countryside, "
             "long walks, cold mornings, warm evenings, parties, Christmas, birthdays, holidays, school, maths, history, science, art, "
             "languages, computers, phones, robots, football, board games, card games, puzzles, candles, tea, coffee, chocolate, cheese, "
             "bread, lighthouses, rivers, lakes, bridges, clouds, the moon, the sunset, fireworks, gardens, roses, mushrooms, bees, "
             "elephants, dinosaurs, comics, cartoons, old films, horror films, love stories, fairy tales, ghost stories, riddles, jokes, "
             "shoes, hats, hot baths, cold water, the wind, fog, storms, sunny days, quiet evenings, loud music, heavy metal, pop music, "
             "folk songs, opera, theatre, dancing, sport, chess, magic tricks, motorbikes, bicycles, buses, airports, markets, kites, "
             "winter sports, islands, castles, waterfalls, pirates, knights, space, planets, video games, crosswords, podcasts, the radio",
    "topic": "quantum physics, black holes, the stock market, politics, tax law, chemistry, medicine, engines, electricity, "
             "philosophy, the French Revolution, ancient Rome, the Olympics, nuclear power, algebra, geometry, economics, dinosaurs, "
             "vaccines, volcanoes, the Middle Ages, cryptocurrency, artificial intelligence, neural networks, relativity, genetics, "
             "evolution, the pyramids, the brain, the human heart, world history, modern art, Shakespeare, Mozart, Einstein, Napoleon, "
             "football results, the news, the president, the election, DNA, atoms, machine learning, mathematics, the Roman Empire, "
             "climate change, insurance, law, banking, rockets, satellites, the internet, Linux, Python programming, JavaScript",
    "weather": "sunny, rainy, windy, cloudy, cold, hot, foggy, snowy, stormy, warm, freezing, grey, wet, mild, chilly",
    "place": "the park, the beach, the cinema, the theatre, the zoo, the museum, the market, the library, the gym, the swimming pool, "
             "the lake, the forest, the mountains, the city, a concert, a party, a wedding, a restaurant, a cafe, the seaside, the harbour, "
             "the dentist, the doctor, school, church, a football match, a flea market, the farm, an island, a castle, the river, the fair",
    "activity": "baked a cake, cleaned the house, went for a walk, went for a run, painted the kitchen, watched a film, read a book, "
                "cooked dinner, fixed my bike, planted some flowers, met a friend, played football, went shopping, did the laundry, "
                "wrote a letter, worked in the garden, took the train, went swimming, washed the car, built a shelf, made soup, "
                "called my sister, visited my grandmother, slept all day, went fishing, climbed a hill, bought new shoes, cut the grass, "
                "learned a song, played chess, watched the sunset, picked apples, tidied my desk, walked the dog, went dancing, "
                "studied for a test, finished a puzzle, went to bed early, made pancakes, went out for dinner, saw a rainbow",
    "plan": "bake a cake, clean the house, go for a walk, go for a run, paint the kitchen, watch a film, read a book, cook dinner, "
            "fix my bike, plant some flowers, meet a friend, play football, go shopping, do the laundry, write a letter, work in the garden, "
            "take the train to the coast, go swimming, wash the car, build a shelf, make soup, call my sister, visit my grandmother, "
            "sleep all day, go fishing, climb a hill, buy new shoes, learn a song, play chess, watch the sunset, tidy my desk, "
            "go dancing, study for a test, move to a new flat, start a new job, go camping, visit a museum, see the sea, make pancakes, "
            "learn to sail, learn to cook, learn to swim, get a dog, get a cat, stay at home, ride my bike, invite some friends",
    "music": "jazz, rock, pop, classical music, folk music, blues, country music, hip hop, techno, opera, metal, reggae, soul, piano music",
    "genre": "crime, comedy, love, adventure, science fiction, horror, fantasy, history, mystery, animation, action, drama",
    "pain": "a headache, a cold, a sore throat, a cough, a fever, a toothache, a stomach ache, a bad back, a sore knee, the flu",
    "instrument": "guitar, piano, violin, flute, drums, trumpet, cello, saxophone, harp, accordion, ukulele, clarinet, organ, banjo",
    "language": "French, Spanish, German, Italian, Japanese, Chinese, Korean, Russian, Portuguese, Arabic, Greek, Dutch, Swedish, Polish",
    "flower": "roses, tulips, daisies, sunflowers, lilies, violets, poppies, lavender, daffodils, orchids, tomatoes, herbs, mint, basil",
    "subject": "maths, history, biology, art, English, physics, chemistry, geography, music, medicine, law, economics, computer science",
    "noun": "car, bike, house, flat, room, kitchen, garden, balcony, bed, chair, table, sofa, lamp, window, door, roof, phone, computer, "
            "laptop, keyboard, camera, clock, boat, tent, bag, jacket, coat, shirt, dress, hat, boss, teacher, neighbour, landlord, "
            "dentist, team, school, office, class, course, project, exam, homework, letter, book, song, guitar, piano, hair, "
            "train, bus, street, village, town, holiday, weekend, party, wedding, dinner, breakfast, cup, kettle, oven, fridge, "
            "tree, plant, lawn, fence, wall, shelf, desk, radio, television, printer, mirror, carpet, stove, tractor, ship, cake",
    "adj": "big, small, old, new, nice, beautiful, ugly, strange, funny, boring, loud, quiet, cold, warm, hot, slow, fast, dirty, clean, "
           "expensive, cheap, difficult, easy, heavy, light, dark, bright, red, blue, green, yellow, white, black, empty, full, wet, dry, "
           "soft, hard, long, short, good, bad, great, terrible, wonderful, crazy, interesting, special, simple, important, tired",
    "noise": "asdf, asdfgh, qwerty, hjkl, blah, xyz, lkjlkj, ..., ???, fghj, dfgdfg, hmm, hm, uh, eh, aaaa, zzz, 123, jjjj, ghgh, test",
}.items()}  # fmt: skip

TABLES = {k: _table(v) for k, v in {
    "capital": """
France|Paris
Spain|Madrid
Italy|Rome
Germany|Berlin
Portugal|Lisbon
Greece|Athens
Austria|Vienna
Norway|Oslo
Sweden|Stockholm
Finland|Helsinki
Denmark|Copenhagen
Ireland|Dublin
England|London
Scotland|Edinburgh
Poland|Warsaw
Hungary|Budapest
Japan|Tokyo
China|Beijing
Egypt|Cairo
Russia|Moscow
Canada|Ottawa
Belgium|Brussels
Cuba|Havana
Peru|Lima
Kenya|Nairobi
Iceland|Reykjavik""",
    "sound": """
dog|woof
cat|meow
cow|moo
sheep|baa
duck|quack
pig|oink
horse|neigh
rooster|cock-a-doodle-doo
bee|buzz
owl|hoo hoo
frog|ribbit
mouse|squeak
lion|roar
snake|hiss
crow|caw""",
    "opposite": """
hot|cold
big|small
day|night
up|down
left|right
good|bad
happy|sad
fast|slow
old|new
young|old
open|closed
black|white
light|dark
early|late
high|low
wet|dry
full|empty
hard|soft
long|short
loud|quiet
rich|poor
strong|weak
true|false
near|far
in|out
love|hate
summer|winter
begin|end""",
    "hue": """
the sky|blue
grass|green
snow|white
a banana|yellow
a lemon|yellow
a tomato|red
blood|red
the sea|blue
a carrot|orange
coal|black
milk|white
chocolate|brown
the sun|yellow
a strawberry|red
a frog|green
an orange|orange
the night|black
a cherry|red""",
    "baby": """
dog|a puppy
cat|a kitten
cow|a calf
sheep|a lamb
horse|a foal
pig|a piglet
duck|a duckling
goat|a kid
bear|a cub
lion|a cub
frog|a tadpole
hen|a chick
deer|a fawn
swan|a cygnet""",
    "next": """
Monday|Tuesday|Sunday
Tuesday|Wednesday|Monday
Wednesday|Thursday|Tuesday
Thursday|Friday|Wednesday
Friday|Saturday|Thursday
Saturday|Sunday|Friday
Sunday|Monday|Saturday
January|February|December
February|March|January
March|April|February
April|May|March
May|June|April
June|July|May
July|August|June
August|September|July
September|October|August
October|November|September
November|December|October
December|January|November
spring|summer|winter
summer|autumn|spring
autumn|winter|summer
winter|spring|autumn""",
    "count": """
legs does a dog have|A dog has four legs.
legs does a spider have|A spider has eight legs.
legs does an ant have|An ant has six legs.
legs does a bird have|A bird has two legs.
legs does a cat have|A cat has four legs.
arms does an octopus have|An octopus has eight arms.
days are in a week|There are seven days in a week.
days are in a year|There are 365 days in a year, and 366 in a leap year.
months are in a year|There are twelve months in a year.
hours are in a day|There are twenty-four hours in a day.
minutes are in an hour|There are sixty minutes in an hour.
seconds are in a minute|There are sixty seconds in a minute.
seasons are there|There are four seasons: spring, summer, autumn and winter.
letters are in the alphabet|There are twenty-six letters in the English alphabet.
planets are there|There are eight planets around our sun.
fingers do I have|Most people have ten fingers.
wheels does a car have|A car has four wheels.
wheels does a bike have|A bike has two wheels.
strings does a guitar have|A guitar usually has six strings.
strings does a violin have|A violin has four strings.
colours are in a rainbow|People usually count seven colours in a rainbow.""",
    "number": "\n".join(f"{i + 1}|{w}" for i, w in enumerate(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split())),
}.items()}  # fmt: skip

LISTS["meal"] = LISTS["food"] + LISTS["foods"]
LISTS["petidea"], LISTS["dest"] = LISTS["petname"], LISTS["city"] + LISTS["country"]
LISTS["town"] = LISTS["city"] + LISTS["country"]


def _read_tables(path):
    tables, rows = {}, []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            rows = tables.setdefault(line[3:], [])
        elif line and not line.startswith("#"):
            rows.append(tuple(line.split("|")) if "|" in line else line)
    return tables


TABLES |= _read_tables(Path(__file__).parent / "scenes" / "tables.txt")

ONSET = "b br c ch d dr f fl g gr h j k kr l m n p pr qu r s sh sk st t th tr v w y z".split()
CORE = "a e i o u ai ea ee oo ou".split()
CODA = ["", "", "", "l", "m", "n", "r", "s", "x", "ck", "nd", "rt", "ng"]


def made_up(rng):
    """A name that no list holds, so that names have to be copied, not remembered."""
    parts = "".join(rng.choice(ONSET) + rng.choice(CORE) + rng.choice(CODA) for _ in range(rng.choice([1, 2, 2])))
    return (parts + rng.choice(["", "a", "o", "y", "i", "us", "ie"])).capitalize()


INVENTED = {"petname": 0.3, "first": 0.3, "city": 0.2, "topic": 0.15, "town": 0.15}


def draw(name, rng):
    """A word of the list, or a row of the table, called `name`."""
    if name == "sum":
        a, b = rng.randrange(1, 11), rng.randrange(1, 11)
        return str(a), str(b), str(a + b), str(abs(a - b))
    if name == "minus":
        a = rng.randrange(2, 13)
        b = rng.randrange(1, a)
        return str(a), str(b), str(a - b)
    if name == "age":
        return str(rng.randrange(14, 90))
    if rng.random() < INVENTED.get(name, 0):
        made = made_up(rng)
        return made.lower() if name == "topic" else made
    if name in LISTS:
        return rng.choice(LISTS[name])
    return rng.choice(TABLES[name])
