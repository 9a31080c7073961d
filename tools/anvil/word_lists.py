"""Word lists for the drills: invented shops and everyday names, goods and facts."""

from __future__ import annotations

FIRST_NAMES = (
    "Marta Jonas Priya Kenji Aisha Tomas Elena Samir Ingrid Paulo Hannah Dmitri Leila Oscar Nadia "
    "Felix Greta Hugo Irene Javier Karen Liam Mona Nils Olga Peter Quentin Rosa Stefan Tara Umar "
    "Vera Walter Ximena Yusuf Zoe Alan Beth Carl Dora Emil Fay George Helen Ivan Julia Kurt Linda "
    "Mark Nora Otto Paula Rachel Simon Teresa Victor Wendy Anna Ben Clara David Emma Frank Grace "
    "Henry Isabel Jack Kate Leo Maria Noah Olivia Philip Ruth Sarah Tom Ursula Vincent William"
).split()
LAST_NAMES = (
    "Keller Novak Okafor Tanaka Silva Larsen Moreau Rossi Haddad Kowalski Jensen Murphy Patel "
    "Garcia Schmidt Brown Wilson Evans Clark Baker Turner Hill Young King Wright Cooper Ward "
    "Morgan Bell Price Wood Reed Stone Fisher Hunter Mason Parker Carter Webb Lane Frost"
).split()
CITIES = (
    "Lisbon Oslo Kyoto Denver Lima Cairo Dublin Prague Austin Madrid Vienna Zurich Boston Athens "
    "Leeds Bergen Porto Turin Ghent Malmo Quito Perth Delhi Accra Hamburg Chicago London Paris "
    "Berlin Rome Toronto Sydney Seattle Dallas Nairobi Helsinki Warsaw Geneva Bristol Glasgow"
).split()
ITEMS = (
    "lamp kettle chair desk mug blanket pillow clock mirror rug shelf vase candle bowl plate knife "
    "spoon towel basket bottle backpack jacket scarf hat coat belt wallet watch camera radio "
    "phone laptop keyboard mouse printer cable battery charger speaker tent bicycle helmet ball "
    "puzzle book notebook pencil pen ruler map globe guitar violin drum hammer saw ladder bucket "
    "shovel rake hose plant pot toaster blender oven fan heater umbrella suitcase ticket ring"
).split()
COLOURS = "red blue green yellow black white brown orange purple pink grey silver".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()
FOODS = (
    "apples bread cheese milk eggs rice beans butter sugar flour salt pepper tomatoes onions "
    "carrots potatoes lemons oranges pears grapes honey jam tea coffee fish chicken soup pasta"
).split()
ANIMALS = "dog cat horse cow sheep goat duck hen fox wolf bear lion mouse rabbit owl bee".split()
SHOPS = (
    "Harbor Lane,Oak and Iron,Bluebird Goods,The Paper Mill,Northlight,Copper Kettle,Little Fern,"
    "Stone Bridge Books,Willow Home,Red Barn Tools,Sunday Market,Clear Lake Outfitters"
).split(",")
CAPITALS = dict(
    pair.split(":")
    for pair in (
        "France:Paris,Italy:Rome,Spain:Madrid,Japan:Tokyo,Egypt:Cairo,Norway:Oslo,Peru:Lima,"
        "Greece:Athens,Ireland:Dublin,Germany:Berlin,Austria:Vienna,Poland:Warsaw,Sweden:Stockholm,"
        "Portugal:Lisbon,Russia:Moscow,China:Beijing,Cuba:Havana,Kenya:Nairobi,England:London,"
        "Denmark:Copenhagen,Finland:Helsinki,Canada:Ottawa,Hungary:Budapest,Belgium:Brussels"
    ).split(",")
)
OPPOSITES = dict(
    pair.split(":")
    for pair in (
        "hot:cold,big:small,up:down,day:night,happy:sad,fast:slow,old:new,open:closed,full:empty,"
        "light:dark,high:low,early:late,rich:poor,hard:soft,long:short,wet:dry,loud:quiet,"
        "left:right,first:last,strong:weak,near:far,inside:outside,always:never,good:bad"
    ).split(",")
)
NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
